"""One face through a video: detected, chosen, tracked and smoothed, with its landmarks and mouth mask."""
