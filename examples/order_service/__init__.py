"""A small shop behind HTTP, as a process of its own: what `business_process.py` calls."""
