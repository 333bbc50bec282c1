"""How fast Mouthpiece is on this machine, beside the textbook pipeline, in one interleaved run."""
