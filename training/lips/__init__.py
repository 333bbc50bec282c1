"""The stage ``lips``: a network that sees how far lips part."""
