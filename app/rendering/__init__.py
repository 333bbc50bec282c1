"""From an avatar and audio to a video, segment by segment."""
