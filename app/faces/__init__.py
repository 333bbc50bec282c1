"""One face through a video: found, chosen, followed, smoothed, with its landmarks and its mouth mask."""
