"""What ``ExecutionEngine(debug=True)`` watches: who wrote to a value that others share, and to an operation."""

from __future__ import annotations

import functools
import sys
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple

from execution_dataflow import _core
from execution_dataflow.contract_levels import checked_level
from execution_dataflow.error_record import ErrorRecord
from execution_dataflow.errors import ContractError, SharedValueChangedError
from execution_dataflow.fingerprints import fingerprint
from execution_dataflow.functions import FunctionOperation
from execution_dataflow.mapping import MappedOperation
from execution_dataflow.node_specs import spec_that_calls
from execution_dataflow.operations import Operation
from execution_dataflow.plan import Plan

if TYPE_CHECKING:
    from execution_dataflow.run_record import RunRecord

__all__ = ["WriteGuard", "guarded_plan"]

_Output = tuple[int, int]
_RECENT = 32
_SHOWN = 8


@dataclass(slots=True, eq=False)
class _Attempt:
    """One attempt that is watched."""

    name: str
    node: int
    is_over: bool = False
    configuration: dict[str, tuple[Any, bytes | None]] = field(default_factory=dict)
    inputs: list[_Input] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class _Input:
    """A value that an attempt has received and must leave as it is."""

    port: str
    what: str
    read: Callable[[], Any]
    before: bytes
    source: _Output | None


@dataclass(slots=True, eq=False)
class _Shared:
    """An output that was committed."""

    print: bytes
    # Who has had it since it was last found unchanged.
    users: list[_Attempt] = field(default_factory=list)
    # Who it was when it was found changed, so that everybody after is told the same.
    culprits: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    is_changed: bool = False


def guarded_plan(plan: Plan) -> tuple[_core.Plan, dict[_core.NodeSpec, _core.NodeSpec]]:
    """Return the native plan in which every operation is watched, and which spec of it stands for which.

    Parameters
    ----------
    plan : Plan
        The plan; what is made of it is kept with it.

    Returns
    -------
    tuple of (_core.Plan, dict)
        The same nodes, with other functions. Operations in processes of their own are left as they are.
    """
    if plan.guarded is None:
        first: dict[int, Operation] = {}
        for node, spec in enumerate(plan.spec_of):
            first.setdefault(spec, plan.operations[node])
        elsewhere = {"process"}
        specs = [
            spec
            if first[index].executor in elsewhere
            else spec_that_calls(first[index], _watched, checked_level(spec.contracts))
            for index, spec in enumerate(plan.specs)
        ]
        stands_for: dict[_core.NodeSpec, _core.NodeSpec] = {}
        for old, new in zip(plan.specs, specs, strict=True):
            below: tuple[_core.NodeSpec | None, _core.NodeSpec | None] = old, new
            while below[0] is not None and below[1] is not None:
                stands_for[below[0]] = below[1]
                below = below[0].item, below[1].item
        plan.guarded = plan.core.with_specs(specs), stands_for
    return plan.guarded


def _watched(function: Callable[..., Any], is_coroutine: bool) -> Callable[..., Any]:
    """The function of an operation, with a look at what it leaves behind."""
    if is_coroutine:

        @functools.wraps(function)
        async def watch_coroutine(*args: Any, **kwargs: Any) -> Any:
            guard, place = _here()
            attempt = guard.begin(place)
            try:
                value = await function(*args, **kwargs)
            except BaseException as error:
                guard.end(attempt, place, error)
                raise
            guard.end(attempt, place, None)
            guard.commit(attempt, place, value)
            return value

        return watch_coroutine

    @functools.wraps(function)
    def watch(*args: Any, **kwargs: Any) -> Any:
        guard, place = _here()
        attempt = guard.begin(place)
        try:
            value = function(*args, **kwargs)
        except BaseException as error:
            guard.end(attempt, place, error)
            raise
        guard.end(attempt, place, None)
        guard.commit(attempt, place, value)
        return value

    return watch


class _Place(NamedTuple):
    """Which attempt it is. Not the native frame, in which the collector would find no cycle: tracebacks lead here."""

    node: int
    items: tuple[int, ...]
    operation: Operation


def _here() -> tuple[WriteGuard, _Place]:
    frame = _core.current_frame()
    assert frame is not None, "a watched operation was called outside of a run"
    return frame.run.guard, _Place(frame.node, frame.items, frame.operation)


class WriteGuard:
    """What one run has committed, and what it looked like then.

    Parameters
    ----------
    plan : Plan
        What runs.
    record : RunRecord
        Where warnings are kept.
    """

    def __init__(self, plan: Plan, record: RunRecord) -> None:
        self._plan = plan
        self._record = record
        self._shared: dict[_Output, _Shared] = {}
        self._recent: deque[str] = deque(maxlen=_RECENT)
        self._warned: set[tuple[int, str]] = set()
        self._lock = Lock()

    def begin(self, place: _Place) -> _Attempt:
        """Look at what an attempt has received, before it begins.

        Raises
        ------
        SharedValueChangedError
            Somebody has written to it since it was committed.
        """
        operation = place.operation
        attempt = _Attempt(self._record.name_of(place.node, place.items), place.node)
        if not isinstance(operation, FunctionOperation):
            attempt.configuration = {name: (value, fingerprint(value)) for name, value in vars(operation).items()}
        attempt.inputs = list(self._inputs(place))
        with self._lock:
            self._recent.append(attempt.name)
            for given in attempt.inputs:
                shared = self._shared.get(given.source) if given.source is not None else None
                if shared is None:
                    continue
                if given.before != shared.print:
                    raise self._fault(shared, given, attempt, None)
                shared.users = [user for user in shared.users if not user.is_over]
                shared.users.append(attempt)
        attempt.inputs = [given for given in attempt.inputs if not self._may_write(place, given.port)]
        return attempt

    def end(self, attempt: _Attempt, place: _Place, error: BaseException | None) -> None:
        """Look at it again when the attempt has ended.

        Raises
        ------
        SharedValueChangedError
            Somebody has written to it while the attempt ran.
        """
        attempt.is_over = True
        self._look_at_configuration(attempt, place.operation)
        for given in attempt.inputs:
            now = fingerprint(given.read())
            with self._lock:
                shared = self._shared.get(given.source) if given.source is not None else None
                if now != given.before:
                    raise self._fault(shared, given, attempt, now) from error
                if shared is not None and now == shared.print:
                    shared.users = [user for user in shared.users if not user.is_over]

    def commit(self, attempt: _Attempt, place: _Place, value: Any) -> None:
        """Note what the attempt is about to commit."""
        if place.items:
            return  # an item's result becomes part of a value that nobody has yet
        for port, output in enumerate(self._outputs(place, value)):
            self._check_fresh(attempt, place.operation, port, output)
            if output is not _core.MISSING and (looks := fingerprint(output)) is not None:
                with self._lock:
                    self._shared[place.node, port] = _Shared(looks)

    def _check_fresh(self, attempt: _Attempt, operation: Operation, port: int, output: Any) -> None:
        name, declared = operation.ports.outputs[port]
        numpy = sys.modules.get("numpy")
        if not declared.fresh or numpy is None or not isinstance(output, numpy.ndarray):
            return
        others = [(f"self.{at}", value) for at, value in vars(operation).items()]
        others += [(f"its input {given.port!r}", given.read()) for given in attempt.inputs]
        for where, value in others:
            if isinstance(value, numpy.ndarray) and numpy.may_share_memory(value, output):
                raise ContractError(
                    f"{attempt.name} promises a fresh array in {name!r}, and {where} shares its memory: set a copy, or "
                    "leave out fresh=True",
                    operation=attempt.name,
                    port=name,
                )

    def finish(self, run: _core.Run) -> list[ErrorRecord]:
        """Look at what the result keeps, when every operation has its outcome.

        Returns
        -------
        list of ErrorRecord
            What was written to since it was last looked at.
        """
        faults = []
        for (node, port), shared in self._shared.items():
            value = run.value(node, port)
            if shared.is_changed or value is _core.MISSING or fingerprint(value) == shared.print:
                continue
            what = self._name_of((node, port))
            with self._lock:
                error = self._fault(shared, _Input("", what, lambda: None, b"", (node, port)), None, None)
            faults.append(self._record.error_record(node, 1, 1, error))
        return faults

    def _inputs(self, place: _Place) -> Iterator[_Input]:
        operation = place.operation
        feeders = [] if place.items else self._plan.core.feeders(place.node)
        for index, (name, port) in enumerate(operation.ports.inputs):
            read = functools.partial(_core.OperationBase.get_input, operation, name)
            try:
                value = read()
            except ContractError:
                continue  # of a clean-up whose source has failed
            sources = feeders[index] if feeders else []
            if port.many and not place.items and len(sources) == len(value):
                for number, source in enumerate(sources):
                    yield from self._one(name, functools.partial(_item_of, read, number), source)
            else:
                yield from self._one(name, read, sources[0] if len(sources) == 1 and not port.many else None)

    def _one(self, name: str, read: Callable[[], Any], source: _Output | None) -> Iterator[_Input]:
        looks = fingerprint(read())
        if looks is not None:
            what = self._name_of(source) if source is not None else f"the value of {name!r}"
            yield _Input(name, what, read, looks, source)

    def _outputs(self, place: _Place, value: Any) -> Iterator[Any]:
        operation = place.operation
        if isinstance(operation, FunctionOperation) and value is not None:
            spread = operation.definition.spread
            yield from value if spread and isinstance(value, tuple) else (value,)
            return
        for name in operation.ports.output_index:
            try:
                yield _core.OperationBase.get_output(operation, name)
            except ContractError:
                yield _core.MISSING

    def _fault(
        self, shared: _Shared | None, given: _Input, attempt: _Attempt | None, now: bytes | None
    ) -> SharedValueChangedError:
        """The error that says who it was, as exactly as can be known. The caller holds the lock."""
        if shared is None:
            culprits: tuple[str, ...] = (attempt.name,) if attempt is not None else ()
            others: tuple[str, ...] = ()
        elif shared.is_changed:
            culprits, others = shared.culprits, shared.others
        else:
            users = [user.name for user in shared.users]
            if attempt is not None and now is not None and attempt.name not in users:
                users.append(attempt.name)
            culprits, others = tuple(dict.fromkeys(users)), tuple(dict.fromkeys(self._recent))
            shared.culprits, shared.others, shared.is_changed = culprits, others, True
        receiver = attempt.name if attempt is not None else None
        text = _who(given, culprits, others, receiver if now is None else None, self._producer(given))
        return SharedValueChangedError(
            text, operation=culprits[0] if len(culprits) == 1 else None, port=given.port or None, suspects=culprits
        )

    def _producer(self, given: _Input) -> str:
        return "" if given.source is None else self._record.names(given.source[0])

    def _may_write(self, place: _Place, port: str) -> bool:
        ports = place.operation.ports
        return bool(ports.inputs[ports.input_index[port]][1].mutable)

    def _name_of(self, output: _Output) -> str:
        node, port = output
        operation = self._plan.operations[node]
        return f"{self._record.names(node)}.{list(operation.ports.output_index)[port]}"

    def _look_at_configuration(self, attempt: _Attempt, operation: Operation) -> None:
        before, now = attempt.configuration, vars(operation)
        if isinstance(operation, FunctionOperation | MappedOperation):
            return
        changed = [
            name
            for name in before.keys() | now.keys()
            if name not in before
            or name not in now
            or before[name][0] is not now[name]
            or fingerprint(now[name]) != before[name][1]
        ]
        for name in sorted(changed):
            with self._lock:
                if (attempt.node, name) in self._warned:
                    continue
                self._warned.add((attempt.node, name))
            text = (
                f"{attempt.name} wrote to self.{name} while it ran. An operation is configuration that all its runs "
                "share, at the same time too, and what is written in a worker process is lost: use context.shared, or "
                "an output"
            )
            self._record.warnings.append(text)
            with suppress(Exception):
                self._record.logger_for(attempt.node).warning("%s", text)


def _item_of(read: Callable[[], Any], number: int) -> Any:
    return read()[number]


def _who(given: _Input, culprits: tuple[str, ...], others: tuple[str, ...], receiver: str | None, producer: str) -> str:
    what = (
        f"{given.what} was changed after it was committed" if given.source is not None else f"{given.what} was changed"
    )
    what += f", before {receiver} received it" if receiver is not None else ""
    advice = "What operations pass on is shared: copy what you change, or declare the input with mutable=True"
    if len(culprits) == 1:
        return f"{what}: {culprits[0]} wrote to it. {advice}"
    if culprits:
        return f"{what}: one of {', '.join(culprits)}, which had it at the same time, wrote to it. {advice}"
    around = ", ".join(others[-_SHOWN:])
    return (
        f"{what}, and nobody who had received it was running: somebody writes through a reference that {producer} left "
        f"behind (in self, a global, a thread of its own), while these ran of late: {around}. {advice}"
    )
