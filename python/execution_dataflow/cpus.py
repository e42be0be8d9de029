"""How many CPUs this process may use: affinity and control groups, not what the machine has."""

from __future__ import annotations

import os

__all__ = ["usable_cpus"]

_CGROUP_V2 = "/sys/fs/cgroup/cpu.max"
_CGROUP_V1_QUOTA = "/sys/fs/cgroup/cpu/cpu.cfs_quota_us"
_CGROUP_V1_PERIOD = "/sys/fs/cgroup/cpu/cpu.cfs_period_us"


def usable_cpus() -> int:
    """Return the number of CPUs that this process may use, at least 1.

    Returns
    -------
    int
        The smaller of the CPUs of its affinity mask and the whole CPUs of its control group's quota.

    Examples
    --------
    >>> usable_cpus() >= 1
    True
    """
    if hasattr(os, "sched_getaffinity"):
        count = len(os.sched_getaffinity(0))
    else:
        count = os.cpu_count() or 1
    quota = _cgroup_quota()
    return max(1, count if quota is None else min(count, int(quota)))


def _cgroup_quota() -> float | None:
    """CPUs' worth of time that the control group grants, ``None`` for no limit or no control groups."""
    try:
        quota, period = _read(_CGROUP_V2).split()[:2]
    except (OSError, ValueError):
        try:
            quota, period = _read(_CGROUP_V1_QUOTA), _read(_CGROUP_V1_PERIOD)
        except OSError:
            return None
    try:
        share = int(quota) / int(period)
    except (ValueError, ZeroDivisionError):
        return None  # "max"
    return share if share > 0 else None


def _read(path: str) -> str:
    with open(path, encoding="ascii") as file:
        return file.read().strip()
