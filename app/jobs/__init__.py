"""Jobs: what to make, the table that records it, and the scheduler that gets it done."""
