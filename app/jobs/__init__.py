"""Jobs: what is to be made, the table that has the record of it, and the scheduler that sees it made."""
