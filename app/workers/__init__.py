"""Workers: a model on a device, each in its own process; and pools of them, local or on Ray."""
