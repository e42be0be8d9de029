"""How much memory there is left, so that asking for too much is an error and not the end of a process."""

from __future__ import annotations

import os

__all__ = ["available_memory", "is_memory_backed", "total_memory"]

_MEMINFO = "/proc/meminfo"
_MOUNTS = "/proc/self/mounts"
_CGROUP = "/sys/fs/cgroup/"
_CGROUP_V1 = "/sys/fs/cgroup/memory/memory."


def total_memory() -> int | None:
    """Return the bytes of memory this process may use at most; ``None`` where nobody says so."""
    machine = _meminfo().get("MemTotal")
    if machine is None and hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return _smallest(machine, _control_group_limit())


def available_memory() -> int | None:
    """Return the bytes that can be taken without anybody being killed for it; ``None`` where nobody says so.

    Linux does not refuse memory to anonymous files: it ends a process when there is none left.
    """
    numbers = _meminfo()
    machine = numbers.get("MemAvailable")
    if machine is not None:
        machine += numbers.get("SwapFree", 0)
    limit = _control_group_limit()
    used = _number(_CGROUP + "memory.current") or _number(_CGROUP_V1 + "usage_in_bytes")
    reclaimable = _control_group_cache()
    group = None if limit is None or used is None else max(0, limit - used + reclaimable)
    return _smallest(machine, group)


def is_memory_backed(folder: str) -> bool:
    """Whether files in a folder take memory as well."""
    longest, kind = "", ""
    try:
        with open(_MOUNTS, encoding="utf-8", errors="surrogateescape") as mounts:
            for line in mounts:
                _, place, system = line.split()[:3]
                inside = place == "/" or folder == place or folder.startswith(place + "/")
                if inside and len(place) >= len(longest):
                    longest, kind = place, system
    except (OSError, ValueError):
        return False
    return kind in {"tmpfs", "ramfs"}


def _smallest(*sizes: int | None) -> int | None:
    return min((size for size in sizes if size is not None), default=None)


def _meminfo() -> dict[str, int]:
    try:
        with open(_MEMINFO, encoding="ascii") as file:
            lines = [line.split() for line in file]
    except OSError:
        return {}
    return {parts[0].rstrip(":"): int(parts[1]) * 1024 for parts in lines if len(parts) == 3}


def _control_group_limit() -> int | None:
    limit = _number(_CGROUP + "memory.max") or _number(_CGROUP_V1 + "limit_in_bytes")
    # The first version says "none" by a number that no machine has.
    return limit if limit is not None and limit < 1 << 60 else None


def _control_group_cache() -> int:
    """What the control group holds of files that can be read again."""
    try:
        with open(_CGROUP + "memory.stat", encoding="ascii") as file:
            return sum(int(line.split()[1]) for line in file if line.startswith("inactive_file "))
    except (OSError, ValueError, IndexError):
        return 0


def _number(path: str) -> int | None:
    try:
        with open(path, encoding="ascii") as file:
            return int(file.read())
    except (OSError, ValueError):
        return None  # "max", or no such control group
