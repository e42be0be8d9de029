"""What a worker process says to its parent, in the order in which it came about."""

from __future__ import annotations

import threading
from typing import Any

from execution_dataflow.executors.processes import messages
from execution_dataflow.executors.processes.held_results import HeldResults
from execution_dataflow.executors.processes.messages import ResultMessage
from execution_dataflow.executors.processes.values import Packed, wire_part, wire_part_of_parcel
from execution_dataflow.executors.processes.wire import Outbox
from execution_dataflow.shared_memory import Accounts, Description, MainLink, close_owned

__all__ = ["Reports"]

# How long the first of the held results waits for others.
_HOLD_NANOSECONDS = 200_000


class Reports:
    """Sends messages from any thread, and holds small results back for a moment: what else is sent comes after them.

    Parameters
    ----------
    outbox : Outbox
        The connection to the parent.
    held : HeldResults
        Where results are while they are held.
    memory : MainLink
        The shared memory.
    """

    def __init__(self, outbox: Outbox, held: HeldResults, memory: MainLink) -> None:
        self._outbox = outbox
        self._held = held
        self._memory = memory
        self._sending = threading.RLock()
        self._is_holding = False
        self._since = 0

    def say(self, kind: int, data: Any) -> None:
        """Send a message."""
        with self._sending:
            self._put_held()
            self._outbox.put(kind, data)
            self._flush()

    def hold(self, task: int, nanoseconds: int, stream: bytes, now: int) -> None:
        """Keep a result until others are sent with it, but not for long."""
        with self._sending:
            if not self._held.keep(task, nanoseconds, stream):
                self.say(messages.RESULT, tuple(ResultMessage(task, nanoseconds, (stream, ()), None)))
            elif not self._is_holding:
                self._is_holding = True
                self._since = now
            elif now - self._since > _HOLD_NANOSECONDS:
                self.release()

    def release(self) -> None:
        """Send what is held."""
        if self._is_holding:
            with self._sending:
                self._put_held()
                self._flush()

    def result(self, task: int, nanoseconds: int, packed: Packed) -> None:
        """Send the outputs of a task."""
        memory = self._memory
        if packed.parcel is None and not memory.owes:
            with self._sending:
                self._put_held()
                result = ResultMessage(task, nanoseconds, wire_part(packed), None)
                self._outbox.put(messages.RESULT, tuple(result), packed.buffers)
                self._flush()
            return
        with self._sending:
            self._put_held()
            description = memory.describe([] if packed.parcel is None else [packed.parcel])
            for data, descriptors in messages.memory_messages(description):
                self._outbox.put(messages.MEMORY, data, (), descriptors)
            part, buffers = wire_part(packed), packed.buffers
            if packed.parcel is not None:
                part, buffers = wire_part_of_parcel(*description.contents[0])
            self._outbox.put(messages.RESULT, tuple(ResultMessage(task, nanoseconds, part, None)), buffers)
            self._put_returns(description)
            self._flush()
        close_owned(description)

    def give_back(self) -> None:
        """Tell what memory was let go of since the last result."""
        with self._sending:
            self._put_held()
            self._put_returns(self._memory.describe())
            self._flush()

    def _put_returns(self, description: Description) -> None:
        returns = description.accounts.returns
        if returns:
            self._outbox.put(messages.MEMORY, tuple(Accounts(returns=returns)))

    def _put_held(self) -> None:
        if self._is_holding:
            contents = self._held.contents
            self._outbox.put(messages.RESULTS, len(contents), (contents,))

    def _flush(self) -> None:
        self._outbox.flush()
        # Not before all of it was sent: until then a death leaves the results where they are.
        if self._is_holding:
            self._held.clear()
            self._is_holding = False
