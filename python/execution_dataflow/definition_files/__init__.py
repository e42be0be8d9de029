"""Definitions of graphs as text: YAML, JSON and TOML, read without running anything that was not allowed."""
