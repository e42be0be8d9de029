"""Where checkpoints, state and caches are kept: a journal of small records, and a store of artifacts."""
