"""What passing arrays between processes costs, beside a memcpy into warm pages in the same run.

``python benches/shared_memory.py [--megabytes 1024] [--hops 10] [--threshold] [--pool]``
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import memory_tasks
from memory_peer import Peer

from execution_dataflow.shared_memory import SharedMemory, pack

MB = 1 << 20


def seconds(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def passing_on(memory: SharedMemory, peers: list[Peer], size: int, hops: int) -> None:
    """An array of ``empty`` through a number of hops, there and back, beside calls without an array."""
    array: Any = memory.empty((size,), np.uint8)
    array[:] = 1
    transfers, calls = [], []
    for hop in range(hops):
        peer = peers[hop % len(peers)]
        start = time.perf_counter()
        peer.call(memory_tasks.same, None)
        calls.append(time.perf_counter() - start)
        start = time.perf_counter()
        array = peer.call(memory_tasks.same, array)
        transfers.append(time.perf_counter() - start)
    copies = memory.stats().copies
    total, bare = 1e3 * sum(transfers), 1e3 * sum(calls)
    print(
        f"{size / MB:.0f} MB from empty, {hops} hops: {total:.2f} ms in all, {bare:.2f} ms of it calls; {copies} copies"
    )


def copying(memory: SharedMemory, size: int, rounds: int) -> None:
    """A foreign array into the pool, beside ``np.copyto`` into memory that was written before."""
    source, target = np.ones(size, np.uint8), np.zeros(size, np.uint8)
    pack(memory, source)
    plain, shared = [], []
    for _ in range(rounds):
        plain.append(seconds(lambda: np.copyto(target, source)))
        shared.append(seconds(lambda: pack(memory, source)))
    ratio = statistics.median(b / a for a, b in zip(plain, shared, strict=True))
    rate = size / statistics.median(plain) / 1e9
    print(f"{size / MB:.0f} MB from elsewhere: {ratio:.2f} of a memcpy into warm pages ({rate:.1f} GB/s)")


def hops_with_copies(memory: SharedMemory, peers: list[Peer], size: int, rounds: int) -> None:
    """A worker that returns an array of its own allocator, whole hop, beside the same work without a result."""
    source, target = np.ones(size, np.uint8), np.zeros(size, np.uint8)
    peer = peers[0]
    for _ in range(3):
        peer.call(memory_tasks.returned, size)
    plain, shared = [], []
    for _ in range(rounds):
        plain.append(seconds(lambda: np.copyto(target, source)))
        shared.append(seconds(lambda: peer.call(memory_tasks.returned, size)))
    ratio = statistics.median(b / a for a, b in zip(plain, shared, strict=True))
    print(f"{size / MB:.0f} MB from elsewhere, made by a worker, whole hop: {ratio:.2f} of a memcpy into warm pages")


def pooling(size: int, rounds: int) -> None:
    """A copy into pages of the pool, and into fresh ones."""
    source = np.ones(size, np.uint8)
    warm, cold = SharedMemory(), SharedMemory(limit=0)
    pack(warm, source)
    pooled, fresh = [], []
    for _ in range(rounds):
        pooled.append(seconds(lambda: pack(warm, source)))
        fresh.append(seconds(lambda: pack(cold, source)))
    gain = statistics.median(b / a for a, b in zip(pooled, fresh, strict=True))
    print(f"{size / MB:.0f} MB into the pool: {gain:.2f} times as fast as into fresh pages")


def thresholds(memory: SharedMemory, peer: Peer) -> None:
    """There and back in the message, and in shared memory, by size."""
    for size in [16 << 10, 32 << 10, 64 << 10, 128 << 10, 256 << 10, 512 << 10, 1 << 20]:
        source = np.ones(size, np.uint8)
        times: dict[int, list[float]] = {size + 1: [], 1: []}
        for _ in range(200):
            for threshold, taken in times.items():
                memory.threshold = threshold
                start = time.perf_counter()
                peer.call(memory_tasks.first, source)
                taken.append(time.perf_counter() - start)
        inside, shared = (statistics.median(taken) for taken in times.values())
        print(f"{size >> 10} KB: {1e6 * inside:.0f} us in the message, {1e6 * shared:.0f} us in shared memory")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--megabytes", type=int, default=1024)
    arguments.add_argument("--hops", type=int, default=10)
    arguments.add_argument("--rounds", type=int, default=7)
    arguments.add_argument("--threshold", action="store_true")
    given = arguments.parse_args()
    memory = SharedMemory(limit=8 << 30)
    peers = [Peer(memory), Peer(memory)]
    try:
        for peer in peers:
            peer.call(memory_tasks.same, None)
        if given.threshold:
            thresholds(memory, peers[0])
            return
        size = given.megabytes * MB
        passing_on(memory, peers, size, given.hops)
        copying(memory, size, given.rounds)
        hops_with_copies(memory, peers, size, given.rounds)
        pooling(size, given.rounds)
    finally:
        for peer in peers:
            peer.close()


if __name__ == "__main__":
    main()
