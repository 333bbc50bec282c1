"""The networks that are trained here. Torch is an extra: import these modules only where training runs."""
