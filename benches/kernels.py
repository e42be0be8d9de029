"""What a node does. Every kernel is deterministic, so that each engine's values can be compared with the loop's.

A kernel has a function for each number of inputs up to three, and one that takes a list.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Kernel:
    """The functions of one kernel: `of_inputs[n]` takes n values and gives one of `type`, `of_list` takes a list."""

    name: str
    type: type
    of_inputs: tuple[Callable[..., Any], Callable[..., Any], Callable[..., Any], Callable[..., Any]]
    of_list: Callable[[list[Any]], Any]


def noop_0() -> int:
    return 1


def noop_1(a: int) -> int:
    return a


def noop_2(a: int, b: int) -> int:
    return a


def noop_3(a: int, b: int, c: int) -> int:
    return a


def noop_list(values: list[int]) -> int:
    return len(values)


# Sums over all paths of a graph would soon be numbers of thousands of digits.
_MASK = 0x3FFFFFFF


def add_0() -> int:
    return 1


def add_1(a: int) -> int:
    return (a + 1) & _MASK


def add_2(a: int, b: int) -> int:
    return (a + b + 1) & _MASK


def add_3(a: int, b: int, c: int) -> int:
    return (a + b + c + 1) & _MASK


def add_list(values: list[int]) -> int:
    return sum(values) & _MASK


SMALL = 100
LARGE = 512 * 1024  # of 8 bytes: 4 MB

Array = np.ndarray[Any, np.dtype[np.float64]]


def small_0() -> Array:
    return np.arange(SMALL, dtype=np.float64)


def large_0() -> Array:
    return np.arange(LARGE, dtype=np.float64)


def array_1(a: Array) -> Array:
    return a * 0.5


def array_2(a: Array, b: Array) -> Array:
    return (a + b) * 0.5


def array_3(a: Array, b: Array, c: Array) -> Array:
    return (a + b + c) * 0.25


def array_list(values: list[Array]) -> float:
    return float(sum(value[1] for value in values))


NOOP = Kernel("no-op", int, (noop_0, noop_1, noop_2, noop_3), noop_list)
ADD = Kernel("add", int, (add_0, add_1, add_2, add_3), add_list)
SMALL_ARRAY = Kernel("numpy 100", np.ndarray, (small_0, array_1, array_2, array_3), array_list)
LARGE_ARRAY = Kernel("numpy 4 MB", np.ndarray, (large_0, array_1, array_2, array_3), array_list)


class Spin:
    """Work that lets go of the GIL: checksums of so many bytes. Instances are functions that can be pickled."""

    # zlib keeps the GIL for 5 KiB and less.
    LEAST = 5 * 1024 + 1

    def __init__(self, size: int) -> None:
        self.size = max(size, self.LEAST)
        self._bytes = bytes(self.size)

    def __reduce__(self) -> tuple[type[Spin], tuple[int]]:
        return Spin, (self.size,)

    def zero(self) -> int:
        return zlib.crc32(self._bytes)

    def one(self, a: int) -> int:
        return zlib.crc32(self._bytes, a)

    def two(self, a: int, b: int) -> int:
        return zlib.crc32(self._bytes, a ^ b)

    def three(self, a: int, b: int, c: int) -> int:
        return zlib.crc32(self._bytes, a ^ b ^ c)


def xor_list(values: list[int]) -> int:
    total = 0
    for value in values:
        total ^= value
    return total


def spin(size: int) -> Kernel:
    """Return the kernel that takes the checksum of `size` bytes without the GIL."""
    work = Spin(size)
    return Kernel(f"spin {work.size} B", int, (work.zero, work.one, work.two, work.three), xor_list)


def bytes_per_second() -> float:
    """Measure how fast one thread takes checksums now: the median of some tens of milliseconds."""
    work, rates = Spin(1 << 18), []
    for _ in range(50):
        began = time.perf_counter()
        work.one(1)
        rates.append(work.size / (time.perf_counter() - began))
    return median(rates)


FIXED = {kernel.name: kernel for kernel in (NOOP, ADD, SMALL_ARRAY, LARGE_ARRAY)}


def kernel_named(name: str) -> Kernel:
    """Return a kernel by its name: one of `FIXED`, or `spin N B`."""
    if name in FIXED:
        return FIXED[name]
    word, size, unit = name.split()
    if (word, unit) != ("spin", "B"):
        raise ValueError(f"no kernel is called {name!r}: choose from {sorted(FIXED)} and 'spin N B'")
    return spin(int(size))
