"""Sends out what a job has made, and the news of its end: again and again until its receiver has it."""
