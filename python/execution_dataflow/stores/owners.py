"""Who holds a run: naming this process, and telling whether another one is still there."""

from __future__ import annotations

import os
import socket
import sys
import uuid
from functools import cache
from pathlib import Path

from execution_dataflow.stores.journal import Owner

__all__ = ["has_ended", "holder_is_gone", "new_owner"]

# Owners of this process that are no more, and that a store still names: it could not be told.
_ended: set[str] = set()


def new_owner() -> Owner:
    """Return an owner in this process, different from all others."""
    process = os.getpid()
    return Owner(uuid.uuid4().hex, _host(), process, _started(process) or "")


def has_ended(owner: Owner) -> None:
    """Note that an owner of this process holds nothing any more, though a store could not be told.

    Others find out when its process or its lease ends.

    Parameters
    ----------
    owner : Owner
        Who it was.

    Examples
    --------
    >>> owner = new_owner()
    >>> holder_is_gone(owner), has_ended(owner), holder_is_gone(owner)
    (False, None, True)
    """
    _ended.add(owner.token)


def holder_is_gone(holder: Owner) -> bool:
    """Return whether the process of a holder has certainly ended.

    Parameters
    ----------
    holder : Owner
        Who holds something.

    Returns
    -------
    bool
        ``False`` too when nothing is known of it, as of a process of another machine.
    """
    if holder.token in _ended:
        return True
    if holder.host != _host():
        return False
    if not _exists(holder.process):
        return True
    started = _started(holder.process)
    return bool(holder.process_started and started) and started != holder.process_started


@cache
def _host() -> str:
    """The machine, its boot, and the namespace in which its process ids mean something."""
    return "/".join(filter(None, (socket.gethostname(), _text("/proc/sys/kernel/random/boot_id")[:8], _namespace())))


def _namespace() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _exists(process: int) -> bool:
    if sys.platform == "win32":
        # os.kill would end it there; the lease tells.
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    # One that has ended and was not waited for is there and does nothing more.
    return _state(process) != "Z"


def _stat(process: int) -> list[str]:
    """The fields of Linux' /proc/PID/stat after the name of the program, which may hold spaces."""
    return _text_of_stat(process).rpartition(")")[2].split()


def _text_of_stat(process: int) -> str:
    try:
        return Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _state(process: int) -> str:
    fields = _stat(process)
    return fields[0] if fields else ""


def _started(process: int) -> str | None:
    """When a process started, in ticks since the boot; ``None`` where the system does not tell."""
    fields = _stat(process)
    return fields[19] if len(fields) > 19 else None
