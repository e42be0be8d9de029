"""From the workers' records to the subscribers' events: one dispatcher thread per engine, in order (O1, O2)."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

from execution_dataflow import _core
from execution_dataflow.checks.outcome import CheckOutcome
from execution_dataflow.error_record import ErrorRecord
from execution_dataflow.events import (
    Event,
    GraphCompleted,
    GraphStarted,
    OperationCancelled,
    OperationChecked,
    OperationCompleted,
    OperationFailed,
    OperationFellBack,
    OperationProgress,
    OperationRestored,
    OperationRetrying,
    OperationReverted,
    OperationRevertFailed,
    OperationSkipped,
    OperationStarted,
    OperationUpstreamFailed,
)
from execution_dataflow.run_record import RunRecord

__all__ = ["GRAPH_COMPLETED", "RESTORED", "Dispatcher", "EventStream", "Latch", "Subscription"]

Subscriber = Callable[[Any], object]
# Kind, run record, node, attempt, worker, nanoseconds since the run began, payload.
_Record = tuple[int, Any, int, int, int, int, Any]

# The kinds of a record, shared with `events.rs`.
_STARTED, _COMPLETED, _FAILED, _RETRYING, _SKIPPED, _CANCELLED, _UPSTREAM_FAILED = range(7)
_GRAPH_STARTED, GRAPH_COMPLETED, _PROGRESS, _STOP = 7, 8, 9, 10
_FELL_BACK, _REVERTED, _REVERT_FAILED = 20, 21, 22
_CHECKED = 40
RESTORED = 60

# The dispatcher looks this often whether it is to stop; records wake it at once.
_IDLE_SECONDS = 3600.0
_NANOSECOND = 1e-9
_NOTHING = 0

_logger = logging.getLogger("execution_dataflow.events")


class Latch:
    """Is set once, and can be waited for. Unlike ``threading.Event`` it is cheap, and safe to interrupt."""

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def set(self) -> None:
        """Let everybody go on who waits; to be called once."""
        self._lock.release()

    def is_set(self) -> bool:
        """Return whether it was set."""
        return not self._lock.locked()

    def wait(self, timeout: float) -> bool:
        """Wait at most this many seconds; return whether it was set."""
        if not self._lock.acquire(timeout=timeout):
            return False
        self._lock.release()
        return True


class EventStream:
    """The events of one run on their way to the subscribers.

    Parameters
    ----------
    record : RunRecord
        The run.
    operations : int
        How many operations it has.
    began : float
        When it began, in seconds since the epoch.
    """

    def __init__(self, record: RunRecord, operations: int, began: float) -> None:
        self.record = record
        self.operations = operations
        self.began = began
        self.sequence = 0
        self.progressed = 0
        self.started: dict[int, int] = {}
        self.is_abandoned = False
        self.delivered = Latch()
        self.on_delivered: Callable[[], object] | None = None

    def finish(self) -> None:
        """Tell who waits that everything was delivered."""
        self.delivered.set()
        if self.on_delivered is not None:
            self.on_delivered()


class Subscription:
    """A subscriber's place at an engine; closing it ends the delivery to it. A context manager.

    Parameters
    ----------
    dispatcher : Dispatcher
        Where it is subscribed.
    callback : callable
        Takes an event.
    kinds : tuple of type
        The event classes that it wants; empty for all.
    """

    def __init__(self, dispatcher: Dispatcher, callback: Subscriber, kinds: tuple[type[Event], ...]) -> None:
        self._dispatcher = dispatcher
        self.callback = callback
        self.kinds = kinds

    def close(self) -> None:
        """End the subscription; an event that is being delivered still arrives."""
        self._dispatcher.remove(self)

    def __enter__(self) -> Subscription:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


class Dispatcher:
    """Makes events of records and calls the subscribers, on one thread that starts with the first subscription."""

    def __init__(self) -> None:
        self.queue = _core.EventQueue()
        self._subscriptions: tuple[Subscription, ...] = ()
        self._streams: dict[RunRecord, EventStream] = {}
        # Reentrant: garbage that is collected under it may be the engine, which then closes its dispatcher.
        self._lock = threading.RLock()
        self.thread: threading.Thread | None = None

    @property
    def has_subscribers(self) -> bool:
        """Whether anybody listens; without, no record is made."""
        return bool(self._subscriptions)

    def add(self, callback: Subscriber, kinds: tuple[type[Event], ...]) -> Subscription:
        """Subscribe to the runs that start from now on."""
        subscription = Subscription(self, callback, kinds)
        with self._lock:
            self._subscriptions = (*self._subscriptions, subscription)
            if self.thread is None:
                self.thread = threading.Thread(target=self._serve, name="execution-dataflow-events", daemon=True)
                self.thread.start()
        return subscription

    def remove(self, subscription: Subscription) -> None:
        """End a subscription; a second call does nothing."""
        with self._lock:
            self._subscriptions = tuple(other for other in self._subscriptions if other is not subscription)

    def open_stream(self, record: RunRecord, operations: int, began: float) -> EventStream:
        """Begin the sequence of a run."""
        stream = EventStream(record, operations, began)
        with self._lock:
            self._streams[record] = stream
        self.put(_GRAPH_STARTED, record)
        return stream

    def drop_stream(self, record: RunRecord) -> None:
        """Forget the sequence of a run that will not be."""
        with self._lock:
            self._streams.pop(record, None)

    def progress(
        self, record: RunRecord, time_ns: int, node: int, fraction: float, message: str, items: tuple[int, ...] = ()
    ) -> None:
        """Publish the progress of an operation."""
        with self._lock:
            stream = self._streams.get(record)
            if stream is None:
                return  # a task that outlives its run
            stream.progressed += 1
        self.queue.put(_PROGRESS, record, node, 0, 0, time_ns, (fraction, message, items))

    def checked(self, record: RunRecord, time_ns: int, node: int, outcome: CheckOutcome) -> None:
        """Publish the outcome of a check."""
        with self._lock:
            stream = self._streams.get(record)
            if stream is None:
                return  # a task that outlives its run
            stream.progressed += 1
        self.queue.put(_CHECKED, record, node, outcome.attempt, 0, time_ns, outcome)

    def put(self, kind: int, record: RunRecord | None) -> None:
        """Publish a record that is about no operation."""
        self.queue.put(kind, record, 0, 0, 0, _NOTHING, None)

    def close(self, timeout: float = 5.0) -> None:
        """Deliver what is queued and stop the thread."""
        with self._lock:
            thread, self.thread = self.thread, None
        if thread is not None:
            self.put(_STOP, None)
            if thread is not threading.current_thread():
                thread.join(timeout)

    def _serve(self) -> None:
        is_stopping = False
        while not (is_stopping and not self._streams):
            for record in self.queue.take(_IDLE_SECONDS):
                if record[0] == _STOP:
                    is_stopping = True  # what has begun is delivered to its end
                    continue
                stream = self._streams.get(record[1])
                if stream is None:
                    continue
                if not stream.is_abandoned:
                    self._deliver(_event(stream, record))
                if record[0] == GRAPH_COMPLETED:
                    with self._lock:
                        del self._streams[record[1]]
                    stream.finish()

    def _deliver(self, event: Event) -> None:
        for subscription in self._subscriptions:
            if subscription.kinds and not isinstance(event, subscription.kinds):
                continue
            try:
                subscription.callback(event)
            except BaseException:  # SystemExit too: this thread serves every run of the engine
                _logger.exception("subscriber %r raised on %s; the run goes on", subscription.callback, event)


def _event(stream: EventStream, record: _Record) -> Event:
    kind, _, node, attempt, worker, time_ns, payload = record
    run = stream.record
    sequence = stream.sequence
    stream.sequence += 1
    run_id, when = run.run_id, stream.began + time_ns * _NANOSECOND
    if kind == _GRAPH_STARTED:
        return GraphStarted(run_id, sequence, when, run.graph_name, stream.operations)
    if kind == GRAPH_COMPLETED:
        return GraphCompleted(run_id, sequence, when, run.graph_name, payload, time_ns * _NANOSECOND)
    name = run.names(node)
    if kind == _STARTED:
        stream.started[node] = time_ns
        return OperationStarted(run_id, sequence, when, name, attempt, worker)
    if kind == _COMPLETED:
        seconds = (time_ns - stream.started.pop(node, time_ns)) * _NANOSECOND
        return OperationCompleted(run_id, sequence, when, name, attempt, seconds)
    if kind == _FAILED:
        error: ErrorRecord | None = payload
        exception, message = None, ""
        if error is not None:
            # The name is that of an item of a map, if it is one.
            exception, message, name = error.exception, error.message, error.operation
        return OperationFailed(run_id, sequence, when, name, attempt, exception, message)
    if kind == _FELL_BACK:
        fallback = payload.fallback or ""
        return OperationFellBack(run_id, sequence, when, name, attempt, fallback, payload.exception, payload.message)
    if kind == _REVERTED:
        return OperationReverted(run_id, sequence, when, name, payload)
    if kind == _REVERT_FAILED:
        return OperationRevertFailed(run_id, sequence, when, name, payload.exception, payload.message)
    if kind == _RETRYING:
        delay, message, *item = payload if payload is not None else (0.0, "")
        name = item[0] if item else name
        return OperationRetrying(run_id, sequence, when, name, attempt, delay, message)
    if kind == _SKIPPED:
        reason = "something that it requires was skipped or left unset"
        return OperationSkipped(run_id, sequence, when, name, reason)
    if kind == _CANCELLED:
        return OperationCancelled(run_id, sequence, when, name)
    if kind == _UPSTREAM_FAILED:
        blame = run.names(payload) if payload is not None else ""
        return OperationUpstreamFailed(run_id, sequence, when, name, blame)
    if kind == RESTORED:
        return OperationRestored(run_id, sequence, when, name)
    if kind == _CHECKED:
        return OperationChecked(run_id, sequence, when, payload.operation, attempt, payload)
    fraction, message, items = payload
    return OperationProgress(run_id, sequence, when, run.name_of(node, items), fraction, message)
