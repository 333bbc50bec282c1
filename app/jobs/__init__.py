"""Jobs: the table that is the queue, the worker loop, and the supervisor of the render process."""
