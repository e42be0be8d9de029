"""Persistent state in a worker process: read from the parent, and encoded here."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

from execution_dataflow.executors.processes.shared_proxy import parent
from execution_dataflow.stores.journal import StateValue

if TYPE_CHECKING:
    from execution_dataflow.storage_formats import ValueCodec
    from execution_dataflow.stores.artifacts import ArtifactStore

__all__ = ["StateReader"]


class StateReader:
    """What a worker process asks for state, as a `StateSource`.

    Parameters
    ----------
    run : int
        By which the parent knows the run.
    key : bytes or None
        What signs values.
    trusts_pickles : bool
        Whether pickles are read that no key has signed.
    """

    def __init__(self, run: int, key: bytes | None, trusts_pickles: bool) -> None:
        self._run = run
        self._key = key
        self._trusts_pickles = trusts_pickles
        self._names: dict[int, str] = {}

    @cached_property
    def _codec(self) -> ValueCodec:
        from execution_dataflow.storage_formats import ValueCodec

        # Values of state lie whole in their records: there are no artifacts.
        nowhere = cast("ArtifactStore", None)
        return ValueCodec(nowhere, key=self._key, trusts_pickles=self._trusts_pickles, prefix="state")

    def _ask(self, what: str, *arguments: Any) -> Any:
        return parent().ask_state(self._run, what, arguments)

    def read(self, namespace: str, key: str) -> StateValue | None:
        """Ask for what is committed."""
        found: StateValue | None = self._ask("read", namespace, key)
        return found

    def keys(self, namespace: str, prefix: str) -> Sequence[str]:
        """Ask for the keys that begin with a prefix."""
        found: Sequence[str] = self._ask("keys", namespace, prefix)
        return found

    def operation_name(self, node: int) -> str:
        """Ask what an operation is called in all items and iterations."""
        name = self._names.get(node)
        if name is None:
            name = self._names[node] = str(self._ask("operation", node))
        return name

    def encode(self, name: str, value: object) -> bytes:
        """Return a value as it is kept."""
        return self._codec.encode_value(name, value)

    def decode(self, name: str, data: bytes) -> object:
        """Return a value from what is kept of it."""
        return self._codec.decode_value(name, data)
