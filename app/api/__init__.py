"""The HTTP API. No module here imports numpy, decodes media or loads a model."""
