"""What users give to an engine or to one run, checked."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Sequence
from typing import Any

from execution_dataflow import _core
from execution_dataflow.caching.run_cache import RunCache
from execution_dataflow.checkpoints.settings import Checkpoint
from execution_dataflow.checkpoints.stores_of_engine import StoreAddress
from execution_dataflow.composition.nested import NestedGraph
from execution_dataflow.contract_levels import ContractLevel, checked_level
from execution_dataflow.engine_limits import EngineLimits
from execution_dataflow.operations import Operation
from execution_dataflow.plan import Plan
from execution_dataflow.policies import FailurePolicy, check_failure_policy

__all__ = ["RunOptions", "checked_executor"]

_EXECUTORS = ("thread", "process", "inline")


class RunOptions:
    """How runs are to be done, by what an engine or one call of it was given.

    Parameters
    ----------
    max_workers : int
        How many workers a run may have.
    failure_policy : {"fail_fast", "continue"}
        Whether a failure stops a run.
    retain : {"terminal", "all"} or iterable
        Which values are kept: a word, or operations (or names of them) and ``(operation, port)`` pairs.
    event_drain_seconds : float
        How long the end of a run waits for subscribers.
    native_threads : {"auto", "unlimited"} or int
        How many threads a native library may use for one worker.
    limits : EngineLimits
        What the runs of the engine share in limited amounts.
    executor : {"thread", "process", "inline"}, optional
        Where operations run that do not say so themselves.
    on_failure : {"keep", "revert"}
        Whether a run that does not succeed is undone.
    debug : bool
        Whether operations are watched for what they write to.
    deadline_seconds : float, optional
        How long a run may take.
    grace_seconds : float
        How long what has to stop may take to do so.
    contracts : {"values", "connect", "off"}
        How much of the contracts of ports is checked.
    checkpoint : Checkpoint, optional
        Where runs keep what they have done.
    state : str, Path or Store, optional
        Where the persistent state of operations is.
    cache : RunCache, optional
        Where operations keep results across runs.

    Raises
    ------
    TypeError, ValueError
        When one of them is not possible.
    """

    __slots__ = (
        "cache",
        "checkpoint",
        "contracts",
        "deadline_seconds",
        "debug",
        "event_drain_seconds",
        "executor",
        "fail_fast",
        "failure_policy",
        "grace_seconds",
        "is_auto",
        "limits",
        "max_workers",
        "native_threads",
        "on_failure",
        "retain",
        "retain_word",
        "state",
    )

    def __init__(
        self,
        max_workers: int,
        failure_policy: FailurePolicy,
        retain: object,
        event_drain_seconds: float,
        native_threads: int | str,
        limits: EngineLimits,
        executor: str | None = None,
        on_failure: str = "keep",
        debug: bool = False,
        deadline_seconds: float | None = None,
        grace_seconds: float = 1.0,
        contracts: ContractLevel = "values",
        checkpoint: Checkpoint | None = None,
        state: StoreAddress | None = None,
        cache: RunCache | None = None,
    ) -> None:
        self.cache = cache
        self.limits = limits
        checked_retain(retain)
        checked_executor(executor)
        self.executor = executor
        workers = checked_workers(max_workers)
        # Inline means that there is nobody but the caller.
        self.max_workers = 1 if executor == "inline" else workers
        self.failure_policy = check_failure_policy(failure_policy)
        self.fail_fast = failure_policy == "fail_fast"
        self.retain = retain
        self.retain_word = retain if isinstance(retain, str) else None
        self.event_drain_seconds = checked_drain(event_drain_seconds)
        self.native_threads = checked_native_threads(native_threads)
        self.is_auto = native_threads == "auto"
        self.on_failure = checked_on_failure(on_failure)
        if not isinstance(debug, bool):
            raise TypeError(f"debug is True or False, not {debug!r}")
        self.debug = debug
        self.deadline_seconds = checked_deadline(deadline_seconds)
        self.grace_seconds = checked_grace(grace_seconds)
        self.contracts = checked_level(contracts)
        self.checkpoint = checkpoint
        self.state = state
        if state is not None and checkpoint is not None and state != checkpoint.store:
            raise ValueError(
                "state= and checkpoint= are to be the same store, since what an attempt changes of the state is "
                "committed together with its outputs: leave out state="
            )

    def for_one_run(
        self,
        failure_policy: FailurePolicy | None,
        retain: object | None,
        max_workers: int | None,
        on_failure: str | None = None,
        deadline_seconds: float | None = None,
        checkpoint: Checkpoint | None = None,
    ) -> RunOptions:
        """Return these options with those of one call of ``run`` in their place."""
        return RunOptions(
            self.max_workers if max_workers is None else max_workers,
            self.failure_policy if failure_policy is None else failure_policy,
            self.retain if retain is None else retain,
            self.event_drain_seconds,
            self.native_threads,
            self.limits,
            self.executor,
            self.on_failure if on_failure is None else on_failure,
            self.debug,
            self.deadline_seconds if deadline_seconds is None else deadline_seconds,
            self.grace_seconds,
            self.contracts,
            checkpoint,
            self.state,
            self.cache,
        )

    def retained_in(self, plan: Plan) -> str | list[int]:
        """Return which values a run of a plan keeps, in the form that the native run takes.

        Raises
        ------
        UnknownOperationError, UnknownPortError
            When the plan has no such operation or output.
        TypeError
            When something in the list is neither.
        """
        retain = self.retain
        if isinstance(retain, str):
            return list(plan.kept) if retain == "terminal" and plan.kept else retain
        assert isinstance(retain, Iterable)
        slots = list(plan.kept)
        for item in retain:
            slots.extend(_slots_of(item, plan))
        return slots


def checked_workers(value: object) -> int:
    """Return a number of workers, or raise an error that says what it may be."""
    try:
        count = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(f"max_workers is an int, not {type(value).__name__}") from None
    if isinstance(value, bool) or not 1 <= count <= _core.MAX_WORKERS:
        raise ValueError(
            f"max_workers={value!r} is not possible: it is from 1 (the calling thread alone) to {_core.MAX_WORKERS}; "
            "leave it out for one per usable CPU"
        )
    return count


def checked_drain(value: object) -> float:
    """Return a number of seconds, or raise an error that says what it may be."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"event_drain_seconds is a number of seconds, not {type(value).__name__}")
    if math.isnan(value) or value < 0:
        raise ValueError(f"event_drain_seconds={value!r} is not possible: it is 0 or more")
    return min(float(value), threading_limit())


def checked_deadline(value: object) -> float | None:
    """Return a number of seconds or ``None``, or raise an error that says what it may be."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"deadline_seconds is a number of seconds, not {type(value).__name__}")
    if math.isnan(value) or value <= 0:
        raise ValueError(f"deadline_seconds={value!r} is not possible: it is more than 0; leave it out for no deadline")
    return float(value)


def checked_grace(value: object) -> float:
    """Return a number of seconds, or raise an error that says what it may be."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"grace_seconds is a number of seconds, not {type(value).__name__}")
    if math.isnan(value) or value < 0:
        raise ValueError(f"grace_seconds={value!r} is not possible: it is 0 or more, or math.inf to wait for ever")
    return float(value)


def checked_native_threads(value: object) -> int | str:
    """Return a number of threads or a word, or raise an error that says what it may be."""
    if isinstance(value, str):
        if value not in ("auto", "unlimited"):
            raise ValueError(f"native_threads={value!r} is not possible: 'auto', 'unlimited', or a number of threads")
        return value
    try:
        count = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(f"native_threads is 'auto', 'unlimited' or an int, not {type(value).__name__}") from None
    if isinstance(value, bool) or count < 1:
        raise ValueError(f"native_threads={value!r} is not possible: a worker's native libraries use 1 thread or more")
    return count


def checked_on_failure(value: object) -> str:
    """Return what is done after a run that does not succeed, or raise an error that says what it may be."""
    if not isinstance(value, str) or value not in ("keep", "revert"):
        raise ValueError(
            f"on_failure={value!r} is not possible: 'keep' leaves what was done as it is, 'revert' undoes it. (What "
            "stands in for one operation is an option of that operation.)"
        )
    return value


def threading_limit() -> float:
    """Return the longest time that a thread can wait, in seconds."""
    import threading

    return threading.TIMEOUT_MAX


def checked_executor(value: object) -> None:
    """Raise an error unless the executor is one that an engine can have by default."""
    if value is None or value in _EXECUTORS:
        return
    if value == "async":
        raise ValueError("executor='async' is found by itself for coroutine operations and is no default of an engine")
    raise ValueError(f"executor={value!r} is not possible: an engine takes 'thread', 'process', 'inline' or None")


def checked_retain(retain: object) -> None:
    """Raise an error unless this can say which values a run keeps."""
    if isinstance(retain, str):
        if retain not in ("terminal", "all"):
            raise ValueError(f"retain={retain!r} is not possible: 'terminal', 'all', or a list of operations and ports")
    elif isinstance(retain, Operation) or not isinstance(retain, Iterable):
        raise TypeError(f"retain is 'terminal', 'all' or a list of operations and ports, not {type(retain).__name__}")


def _slots_of(item: Any, plan: Plan) -> list[int]:
    operation, port = _named(item)
    ports = [port]
    if port is None:
        # Of a nested graph its own outputs, not those of an operation.
        is_nested = isinstance(operation, NestedGraph)
        owner = operation if is_nested else plan.operations[plan.index_of(operation)]
        ports = list(owner.ports.output_index)
    places = [plan.output_of(operation, name) for name in ports]
    return [plan.core.slot(node, index) for node, _, index in places]


def _named(item: Any) -> tuple[Any, str | None]:
    if isinstance(item, Operation | str):
        return item, None
    if isinstance(item, Sequence) and len(item) == 2 and isinstance(item[1], str):
        return item[0], item[1]
    operation, port = getattr(item, "operation", None), getattr(item, "port_name", None)
    if isinstance(operation, Operation) and isinstance(port, str):
        return operation, port
    raise TypeError(f"retain lists operations and (operation, 'port') pairs, not {type(item).__name__}")
