"""Checkpoints: what a run has done is kept as it goes on, and another run of the same id goes on from there."""
