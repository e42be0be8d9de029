"""The shared memory of this process, made when it is first needed."""

from __future__ import annotations

import atexit
import os
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal, SupportsIndex

from execution_dataflow.shared_memory.main_link import MainLink
from execution_dataflow.shared_memory.memory import SharedMemory, default_backing

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import DTypeLike

__all__ = ["become_worker", "begin_use", "empty", "end_use", "process_memory"]

_memory: SharedMemory | None = None
_users = 0
_making = Lock()


def process_memory() -> SharedMemory:
    """Return the shared memory of this process; the same each time."""
    global _memory
    memory = _memory
    if memory is None:
        # Made outside of the lock: making it may run finalizers, which may want it too.
        fresh = SharedMemory()
        fresh.ledger.limit(0)
        with _making:
            memory = _memory
            if memory is None:
                memory = _memory = fresh
        if memory is not fresh:
            fresh.close()
    return memory


def begin_use() -> SharedMemory:
    """Return the shared memory of this process; until `end_use` it keeps what is free for the next use.

    Without anybody who gives it back when it was idle for long, nothing is kept.
    """
    global _users
    memory = process_memory()
    with _making:
        _users += 1
    memory.ledger.limit(memory.limit)
    return memory


def end_use() -> None:
    """Say that one who began to use shared memory has no need of it any more."""
    global _users
    with _making:
        _users -= 1
        is_last = _users <= 0
    memory = _memory
    if is_last and memory is not None:
        memory.ledger.limit(0)


def become_worker(number: int, options: tuple[str, ...]) -> MainLink:
    """Make this process a worker of another, which gave it a number and the options of the backing.

    Parameters
    ----------
    number : int
        The number.
    options : tuple of str
        What ``Backing.for_worker`` returned.

    Returns
    -------
    MainLink
        The worker's end of the way to the main process.
    """
    global _memory
    if options:
        from pathlib import Path

        from execution_dataflow.shared_memory.named_files import NamedFiles

        memory = SharedMemory(number, backing=NamedFiles(Path(options[0])))
    else:
        memory = SharedMemory(number, backing=default_backing())
    with _making:
        _memory = memory
    return MainLink(memory)


def empty(
    shape: SupportsIndex | tuple[SupportsIndex, ...], dtype: DTypeLike = float, order: Literal["C", "F"] = "C"
) -> np.ndarray[Any, Any]:
    """Return a new array, not initialised, in the shared memory of this process; see `SharedMemory.empty`."""
    return process_memory().empty(shape, dtype, order)


def _after_fork_in_child() -> None:
    """Leave the blocks to the parent: nothing that ends here tells anybody."""
    global _memory, _making, _users
    _making = Lock()
    _users = 0
    if _memory is not None:
        _memory.ledger.abandon()
        _memory = None


def _at_exit() -> None:
    if _memory is not None:
        _memory.backing.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
atexit.register(_at_exit)
