"""The stage ``listen``: heads on Whisper's first layers learn what a mouth does from what is heard."""
