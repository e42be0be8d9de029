"""Answers to operations in worker processes that use shared state."""

from __future__ import annotations

from collections import OrderedDict
from itertools import count
from typing import Any

from execution_dataflow.executors.processes.shared_proxy import shared_of
from execution_dataflow.shared_state import ABSENT, SharedState

__all__ = ["SharedCalls"]

# How many values may be read by one worker process for an update that has not come yet: more than it has threads. What
# is forgotten is read again.
_MOST_READ = 1024


class SharedCalls:
    """What one worker process asks of shared states."""

    def __init__(self) -> None:
        self._tokens = count()
        self._read: OrderedDict[int, Any] = OrderedDict()

    def answer(self, key: str, method: str, arguments: tuple[Any, ...]) -> Any:
        """Return the answer to one question.

        Parameters
        ----------
        key : str
            Names the shared state.
        method : str
            What is asked.
        arguments : tuple
            What with.

        Raises
        ------
        KeyError
            The run is over.
        """
        state = shared_of(key)
        if method == "set":
            state[arguments[0]] = arguments[1]
            return None
        if method == "look":
            return _found(state.look(*arguments))
        if method == "read":
            value = state.look(*arguments)
            token = next(self._tokens)
            self._read[token] = value
            if len(self._read) > _MOST_READ:
                self._read.popitem(last=False)
            return token, *_found(value)
        if method == "replace":
            return self._replace(state, *arguments)
        if method == "take":
            value = state.pop(arguments[0], self)
            return _found(ABSENT if value is self else value)
        if method == "setdefault":
            return state.setdefault(*arguments)
        if method == "snapshot":
            return state.snapshot()
        raise ValueError(f"shared state answers no {method!r}")

    def _replace(self, state: SharedState, key: str, token: int, value: Any) -> bool:
        if token not in self._read:
            return False
        return state.replace_if(key, self._read.pop(token), value)


def _found(value: Any) -> tuple[bool, Any]:
    return (False, None) if value is ABSENT else (True, value)
