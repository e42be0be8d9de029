"""Instances of a class that differ in plain attributes alone, as most do: what else they are is found once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from execution_dataflow.fingerprinting.values import SCALAR_RULES
from execution_dataflow.fingerprinting.walks import Walk, digest_of_parts

__all__ = ["PlainInstances"]


class PlainInstances:
    """The instances of one class with the same ports, options and names of attributes.

    Parameters
    ----------
    code : bytes
        The digest of their code.
    kept : object
        What must stay alive as long as this.
    walk : Walk
        Its parts are taken here, one after the other.
    begin : sequence of bytes
        What the walk over their configuration begins with.
    attributes : sequence of (str, sequence of bytes)
        The names of their attributes, in the order of the walk, each with what stands before the value.
    end : sequence of bytes
        What it ends with.
    """

    def __init__(
        self,
        code: bytes,
        kept: object,
        walk: Walk,
        begin: Sequence[bytes],
        attributes: Sequence[tuple[str, Sequence[bytes]]],
        end: Sequence[bytes],
    ) -> None:
        self._code = code
        self._kept = kept
        self._walk = walk
        self._begin = b"".join(begin)
        self._attributes = [(name, b"".join(before)) for name, before in attributes]
        self._end = b"".join(end)

    def digest(self, fields: Mapping[str, Any]) -> bytes | None:
        """Return what an instance is by itself, as a walk over it finds; ``None`` if an attribute is not plain."""
        walk = self._walk
        parts: list[Any] = [self._begin]
        walk.collect_into(parts)
        for name, before in self._attributes:
            value = fields[name]
            rule = SCALAR_RULES.get(type(value))
            if rule is None:
                return None
            parts.append(before)
            rule(walk, value)
        parts.append(self._end)
        return self._code + digest_of_parts(parts)
