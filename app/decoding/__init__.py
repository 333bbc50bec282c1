"""Decoding what strangers sent in processes apart: one a file, locked in with that file and what it makes."""
