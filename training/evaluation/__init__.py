"""Judging a model as its users see it: whole renders of people it never saw, full size, beside the truth."""
