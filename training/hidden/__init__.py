"""The stage ``hidden``: a small network that marks what covers a mouth."""
