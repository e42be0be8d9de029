"""What counts as plain data: what JSON has, by exact type, not nested without end."""

from __future__ import annotations

__all__ = ["MAX_DEPTH", "SCALARS", "NotPlainError"]

MAX_DEPTH = 100
"""How deep values may be nested: far more than data is, and far from where the interpreter's own limit lies."""

SCALARS = frozenset({int, float, str, bool, type(None)})
"""The types of values that have no others in them."""


class NotPlainError(Exception):
    """A value is no plain data."""
