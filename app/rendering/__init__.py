"""From an avatar and a sound to an MP4, segment by segment."""
