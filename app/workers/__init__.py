"""Workers: a model on a device, in a process of its own; pools of them, on this machine or by Ray."""
