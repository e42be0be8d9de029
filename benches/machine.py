"""What a result was measured on, without the names of the machine, its user or its folders; and how fast it is now."""

from __future__ import annotations

import os
import platform
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


def usable_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processor() -> str:
    info = Path("/proc/cpuinfo")
    found = re.search(r"^model name\s*:\s*(.+)$", info.read_text(), re.MULTILINE) if info.is_file() else None
    return found[1] if found else platform.processor() or platform.machine()


def described() -> dict[str, Any]:
    """Return what a reader needs in order to compare numbers of two machines."""
    return {
        "system": platform.system(),
        "architecture": platform.machine(),
        "processor": processor(),
        "cores": usable_cores(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "compiler": platform.python_compiler(),
    }


def today() -> str:
    return datetime.now(UTC).date().isoformat()


def seconds(run: Callable[[], object]) -> float:
    """Time one call."""
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def probe() -> float:
    """Time a fixed piece of pure Python, some milliseconds long: when it varies, the machine was busy."""
    return seconds(lambda: sum(number * number for number in range(50_000)))


_PLACES = re.compile(r"(?:/[\w.@+-]+){2,}|[A-Z]:\\\S+")


def without_places(text: str) -> str:
    """Return a message in one line and with its paths taken out: it is going to be published."""
    return _PLACES.sub("...", " ".join(text.split()))[:300]
