"""The HTTP face of the service. No module here imports numpy, decodes media or loads a model."""
