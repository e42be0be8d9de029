"""Which worker processes an engine has, and whether they live."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

from execution_dataflow import ExecutionEngine


def workers_of(engine: ExecutionEngine) -> list[int]:
    """The processes that take tasks of this engine now."""
    pool = engine._threads.process_pool
    return [] if pool is None else pool.pids()


def is_running(pid: int) -> bool:
    """Whether a process has not ended; one that nobody has waited for yet has."""
    if sys.platform == "win32":
        return _is_running_on_windows(pid)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with contextlib.suppress(OSError):
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        return state != "Z"
    return True


def _is_running_on_windows(pid: int) -> bool:
    # There `os.kill` ends a process, whatever the signal.
    import ctypes

    still_active, query_limited_information = 259, 0x1000
    kernel = ctypes.WinDLL("kernel32")  # type: ignore[attr-defined,unused-ignore]
    handle = kernel.OpenProcess(query_limited_information, False, pid)
    if not handle:
        return False
    code = ctypes.c_ulong()
    kernel.GetExitCodeProcess(handle, ctypes.byref(code))
    kernel.CloseHandle(handle)
    return code.value == still_active
