"""Evaluation as users see it: full-size renders of unseen people, compared with the real footage."""
