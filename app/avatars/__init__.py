"""Avatars: a video prepared once, kept on a volume."""
