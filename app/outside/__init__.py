"""Outgoing connections: which URLs from callers may be reached, and how."""
