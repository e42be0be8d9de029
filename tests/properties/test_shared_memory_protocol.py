"""Whatever processes send, keep, drop and die of, and however late messages arrive: nobody's memory changes under them.

The ends of the protocol are real, and so is the memory; only the sockets are queues, so that hypothesis decides when a
message arrives.
"""

from __future__ import annotations

import os
import sys
from collections import deque
from itertools import count
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from execution_dataflow.shared_memory import MainLink, Message, SharedMemory, WorkerLink, pack

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="descriptors are duplicated as Linux's sockets do it")

LENGTHS = [20_000, 30_000, 100_000]
WORKERS = 2
picks = st.integers(0, 1000)


class Value:
    """An array, and what must stand in it."""

    def __init__(self, array: Any, stamp: float) -> None:
        self.array = array
        self.stamp = stamp

    def check(self) -> None:
        assert self.array[0] == self.array[-1] == self.stamp


class Way:
    """One direction: messages that were sent and have not arrived."""

    def __init__(self) -> None:
        self.messages: deque[tuple[bytes, list[int]]] = deque()

    def send(self, message: Message) -> None:
        self.messages.append((message.to_bytes(), [os.dup(number) for number in message.descriptors]))
        message.close()

    def lose(self) -> None:
        for _, descriptors in self.messages:
            for number in descriptors:
                os.close(number)
        self.messages.clear()


class Worker:
    def __init__(self, main: SharedMemory) -> None:
        self.link = WorkerLink(main)
        self.memory = SharedMemory(self.link.options()[0])
        self.end = MainLink(self.memory)
        self.values: list[Value] = []
        self.to, self.fro = Way(), Way()


class Processes(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.main = SharedMemory(limit=3_000_000)
        self.workers = [Worker(self.main) for _ in range(WORKERS)]
        self.values: list[Value] = []
        self.stamps = count(1)

    def made(self, memory: SharedMemory, pick: int, shared: bool) -> Value:
        length, stamp = LENGTHS[pick % len(LENGTHS)], float(next(self.stamps))
        array = memory.empty((length,)) if shared else np.empty(length)
        array[:] = stamp
        array.setflags(write=False)
        return Value(array, stamp)

    @rule(pick=picks, shared=st.booleans())
    def main_makes(self, pick: int, shared: bool) -> None:
        self.values.append(self.made(self.main, pick, shared))

    @rule(who=picks, pick=picks, shared=st.booleans())
    def worker_makes(self, who: int, pick: int, shared: bool) -> None:
        worker = self.workers[who % WORKERS]
        worker.values.append(self.made(worker.memory, pick, shared))

    @rule(who=picks, pick=picks, final=st.booleans())
    def main_sends(self, who: int, pick: int, final: bool) -> None:
        worker = self.workers[who % WORKERS]
        chosen = self.values[pick % len(self.values) :][:2] if self.values else []
        parcels = [pack(self.main, (value.array, value.stamp)) for value in chosen]
        if final:
            for value in chosen:
                self.values.remove(value)
        del chosen
        worker.to.send(worker.link.wrap(parcels, final=final))

    @rule(who=picks, pick=picks, drop=st.booleans())
    def worker_sends(self, who: int, pick: int, drop: bool) -> None:
        worker = self.workers[who % WORKERS]
        chosen = worker.values[pick % len(worker.values) :][:2] if worker.values else []
        parcels = [pack(worker.memory, (value.array, value.stamp)) for value in chosen]
        if drop:
            for value in chosen:
                worker.values.remove(value)
        del chosen
        worker.fro.send(worker.end.wrap(parcels))

    @rule(who=picks)
    def message_arrives_at_worker(self, who: int) -> None:
        worker = self.workers[who % WORKERS]
        if worker.to.messages:
            for parcel in worker.end.unwrap(*worker.to.messages.popleft()):
                value = Value(*parcel.load())
                assert not value.array.flags.writeable
                worker.values.append(value)

    @rule(who=picks)
    def message_arrives_at_main(self, who: int) -> None:
        worker = self.workers[who % WORKERS]
        if worker.fro.messages:
            for parcel in worker.link.unwrap(*worker.fro.messages.popleft()):
                value = Value(*parcel.load(writeable=True))
                if value.array.flags.writeable:
                    # Nobody else has it: writing must disturb nobody.
                    value.stamp = float(next(self.stamps))
                    value.array[:] = value.stamp
                    value.array.setflags(write=False)
                self.values.append(value)

    @rule(pick=picks)
    def main_drops(self, pick: int) -> None:
        if self.values:
            del self.values[pick % len(self.values)]

    @rule(who=picks, pick=picks)
    def worker_drops(self, who: int, pick: int) -> None:
        values = self.workers[who % WORKERS].values
        if values:
            del values[pick % len(values)]

    @rule(who=picks)
    def worker_dies(self, who: int) -> None:
        worker = self.workers[who % WORKERS]
        worker.to.lose()
        worker.values.clear()
        while worker.fro.messages:
            self.message_arrives_at_main(who)
        worker.link.close()
        self.workers[who % WORKERS] = Worker(self.main)

    @rule(who=picks)
    def worker_is_asked_for_what_it_does_not_use(self, who: int) -> None:
        worker = self.workers[who % WORKERS]
        worker.link.recall()
        worker.to.send(worker.link.wrap())

    @rule()
    def main_tidies(self) -> None:
        self.main.tidy(0.0)

    @invariant()
    def nothing_has_changed(self) -> None:
        for value in [*self.values, *(value for worker in self.workers for value in worker.values)]:
            value.check()

    def teardown(self) -> None:
        self.values.clear()
        for who, worker in enumerate(self.workers):
            worker.values.clear()
            while worker.to.messages:
                self.message_arrives_at_worker(who)
                worker.values.clear()
            worker.fro.send(worker.end.wrap())
            while worker.fro.messages:
                self.message_arrives_at_main(who)
                self.values.clear()
            assert not worker.end.owes
        stats = self.main.stats()
        # What workers still have is what they were lent, or made beside what they sent.
        assert stats.blocks_in_use == sum(worker.link.holds for worker in self.workers)
        for worker in self.workers:
            worker.link.close()
        stats = self.main.stats()
        assert stats.blocks_in_use == 0
        assert stats.pooled_bytes == stats.mapped_bytes
        self.main.close()
        assert self.main.stats().segments == 0


TestProcesses = Processes.TestCase
TestProcesses.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)
