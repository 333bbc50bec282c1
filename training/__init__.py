"""Training of lip-sync models: from talking videos to a model file that the service loads."""
