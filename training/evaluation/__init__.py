"""Judging a model as its users see it: whole renders of people it never saw, at full size, beside the truth."""
