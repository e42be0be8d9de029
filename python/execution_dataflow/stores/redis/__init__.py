"""A journal, and artifacts of moderate size, on a Redis server."""
