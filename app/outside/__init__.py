"""The network outside: which addresses that callers name may be reached, and how."""
