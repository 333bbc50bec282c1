"""Mouths in footage: their shapes, which of them may be lent, and what a sound wants of them."""
