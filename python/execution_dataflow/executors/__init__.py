"""Where operations run: the process's worker threads and event loops."""
