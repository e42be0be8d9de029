"""The context of a run: what operations may use besides their inputs (rule C1)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from reprlib import Repr
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, SupportsIndex, TypeVar, cast
from weakref import ref

from execution_dataflow import _core
from execution_dataflow.cancellation import AttemptCancelled
from execution_dataflow.clients import ClientPool
from execution_dataflow.errors import OutsideRunError
from execution_dataflow.idempotency import idempotency_key
from execution_dataflow.run_logging import RunLogger
from execution_dataflow.run_record import RunRecord
from execution_dataflow.run_settings import RunSettings, checked_settings
from execution_dataflow.secrets import Secrets
from execution_dataflow.shared_state import SharedState

if TYPE_CHECKING:
    from random import Random

    import numpy as np
    from numpy.typing import DTypeLike

    from execution_dataflow.persistent_state.state import PersistentState

__all__ = ["ExecutionContext"]

_Generator = TypeVar("_Generator")

_DEFAULTS = RunSettings()
# Rounding in a user's own division must not fail an operation that is nearly done.
_ROUNDING = 1e-6

# The streams of the attempt that runs here, so that a second call goes on where the first one stopped. Every attempt
# has its own contextvars context (rule R12): what is set here lives as long as the attempt, in whatever thread or task
# it runs. The run is held weakly: a task that outlives it must not keep its errors, and the arrays in their frames,
# alive.
_Stream = tuple[ref[RunRecord], int, int, tuple[int, ...], Any]
_array_stream: ContextVar[_Stream | None] = ContextVar("execution_dataflow_array_stream", default=None)
_plain_stream: ContextVar[_Stream | None] = ContextVar("execution_dataflow_plain_stream", default=None)


class ExecutionContext:
    """Parameters, logging, shared state, clients and secrets of a run, and what an operation sees of its own attempt.

    ``execute`` receives the very object that was given to ``run``: subclasses and added attributes survive. One context
    may serve several runs at once: what belongs to a run or to an attempt (`run_id`, `attempt`, `logger`, `rng`,
    `clients`, ...) is looked up through the operation that is running where it is asked for.

    Parameters
    ----------
    run_id : str, optional
        The name of the run. Without one every run makes its own.
    log_level : str or int, optional
        The lowest level that ``context.logger`` lets pass. Global loggers are never changed.
    parameters : mapping, optional
        Values for the operations to read.
    seed : int, optional
        The seed of every random stream, not negative. Without one, entropy is drawn for each run and recorded as
        ``result.seed``.
    logger : logging.Logger, optional
        Where ``context.logger`` writes to; by default the logger ``execution_dataflow.run``.
    shared : SharedState or mapping, optional
        The shared state, or the first contents of a new one.
    secrets : mapping, optional
        Values that are never shown.
    clients : mapping, optional
        Names to factories; see `ClientPool`.

    Examples
    --------
    >>> context = ExecutionContext("nightly", parameters={"month": 7}, secrets={"token": "hunter2"})
    >>> context.parameters["month"]
    7
    >>> context.secrets["token"]
    Secret('***')
    >>> context
    ExecutionContext(run_id='nightly', parameters={'month': 7}, secrets=['token'])
    """

    # On the class and not set in __init__: a subclass that is a dataclass has an __init__ of its own which never calls
    # this one's, and a frozen one refuses plain assignment.
    _settings: RunSettings = _DEFAULTS
    _shared: SharedState | None = None

    def __init__(
        self,
        run_id: str | None = None,
        log_level: str | int | None = None,
        *,
        parameters: Mapping[str, Any] | None = None,
        seed: SupportsIndex | None = None,
        logger: logging.Logger | None = None,
        shared: SharedState | Mapping[str, Any] | None = None,
        secrets: Mapping[str, Any] | None = None,
        clients: Mapping[str, Any] | None = None,
    ) -> None:
        self._settings = checked_settings(
            run_id=run_id,
            log_level=log_level,
            seed=seed,
            logger=logger,
            parameters=parameters,
            secrets=secrets,
            clients=clients,
        )
        if shared is not None:
            self._shared = shared if isinstance(shared, SharedState) else SharedState(shared)

    @property
    def run_id(self) -> str | None:
        """The id of the run; outside of a run the one that was given, or ``None``."""
        record = self._own_record()
        return self._settings.run_id if record is None else record.run_id

    @property
    def log_level(self) -> str | int | None:
        """The log level as it was given."""
        return self._settings.log_level

    @property
    def seed(self) -> int | None:
        """The seed of the run's random streams; outside of a run the one that was given, or ``None``."""
        record = self._own_record()
        return self._settings.seed if record is None else record.seed

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The parameters, read-only."""
        return MappingProxyType(self._settings.parameters)

    @property
    def secrets(self) -> Secrets:
        """The secrets; ``context.secrets["token"].reveal()`` gives the value."""
        return self._settings.secrets

    @property
    def shared(self) -> SharedState:
        """In-memory state that all operations and all runs with this context share."""
        shared = self._shared
        # In one step: operations that ask at the same time get the same.
        return shared if shared is not None else cast(SharedState, vars(self).setdefault("_shared", SharedState()))

    @property
    def logger(self) -> RunLogger:
        """The logger of the operation that is running; its records carry ``run_id`` and ``operation``."""
        frame = _core.current_frame()
        if frame is None or frame.run.context is not self:
            return RunLogger(self._settings.new_logger(), {"run_id": self._settings.run_id, "operation": None})
        return cast(RunRecord, frame.run).logger_for(frame.node, frame.items)

    @property
    def clients(self) -> ClientPool:
        """The clients of the run, made when first asked for and closed when it ends."""
        record = self._own_record()
        if record is None:
            raise _outside("clients", "clients are made for a run of this context and closed with it")
        return record.clients

    @property
    def attempt(self) -> int:
        """The number of this attempt at the operation, from 1."""
        return self._frame("attempt").attempt

    @property
    def operation_name(self) -> str:
        """The stable identity of the operation that is running."""
        frame = self._frame("operation_name")
        return cast(RunRecord, frame.run).name_of(frame.node, frame.items)

    @property
    def idempotency_key(self) -> str:
        """What names this operation of this run for services outside: a UUID, the same for every attempt.

        It is derived from the run id, the name of the graph and the stable identity of the operation or item, so it is
        the same in worker processes, and when the run is resumed; a run id that nobody chose is new for each run.
        """
        frame = self._frame("idempotency_key")
        return _key_of(frame, ())

    def idempotency_key_for(self, *parts: str | int | bytes) -> str:
        """Return the idempotency key of one of several requests that the operation makes.

        Parameters
        ----------
        *parts : str, int or bytes
            Which request it is: ``context.idempotency_key_for("charge", order.id)``.

        Returns
        -------
        str
            As `idempotency_key`, and different for different parts.

        Raises
        ------
        TypeError
            A part is something else, which may not be the same for the next attempt.
        """
        frame = self._frame("idempotency_key_for")
        return _key_of(frame, parts)

    @property
    def state(self) -> PersistentState:
        """State that outlives the run, of the operation that is running; committed with its outputs, or not at all.

        Its namespace is that of the operation in the graph of this name, in every run; all items of a map and all
        iterations of a loop share it. ``context.state.namespace("orders")`` is one that others use too.

        Raises
        ------
        NoStateStoreError
            The engine was given neither ``state=`` nor ``checkpoint=``.
        """
        frame = self._frame("state")
        return cast(RunRecord, frame.run).state_for(frame.node, frame.items, frame.attempt)

    @property
    def cancelled(self) -> bool:
        """Whether the run was cancelled: a long operation looks at this from time to time and returns early."""
        return cast(RunRecord, self._frame("cancelled").run).cancel_requested

    def raise_if_cancelled(self) -> None:
        """Give up if the run was cancelled.

        Raises
        ------
        AttemptCancelled
            When it was. Let it pass: the operation then ends CANCELLED. Never in an operation with ``always_run=True``.
        """
        frame = self._frame("raise_if_cancelled")
        record = cast(RunRecord, frame.run)
        if record.cancel_requested and not frame.spec.settings.always_run:
            raise AttemptCancelled(record.cancel_reason)

    def progress(self, fraction: float, message: str = "") -> None:
        """Say how far the operation has come.

        Parameters
        ----------
        fraction : float
            How much is done, from 0 to 1.
        message : str
            What is being done.

        Raises
        ------
        ValueError
            When the fraction is not between 0 and 1.
        """
        frame = self._frame("progress")
        done = float(fraction)
        if not -_ROUNDING <= done <= 1 + _ROUNDING:
            raise ValueError(f"progress is a fraction from 0 to 1, not {fraction!r}; divide what is done by the total")
        fraction = min(max(done, 0.0), 1.0)
        cast(RunRecord, frame.run).report_progress(frame.node, fraction, str(message), frame.items)

    def empty(
        self, shape: SupportsIndex | tuple[SupportsIndex, ...], dtype: DTypeLike = float, order: Literal["C", "F"] = "C"
    ) -> np.ndarray[Any, Any]:
        """Return a new array, not initialised, that passes to and from worker processes without a copy.

        Parameters
        ----------
        shape : int or tuple of int
            Its shape.
        dtype : data-type
            Its type. Objects cannot be shared: an array of them is an ordinary one.
        order : {"C", "F"}
            By rows or by columns.

        Returns
        -------
        numpy.ndarray
            It holds whatever the memory held before. A small one is an ordinary array: it travels in a message.

        Raises
        ------
        SharedMemoryFull
            There is no memory left.

        Examples
        --------
        >>> field = ExecutionContext().empty((1000, 1000))
        >>> field.shape, field.flags.writeable
        ((1000, 1000), True)
        """
        from execution_dataflow.shared_memory import empty

        return empty(shape, dtype, order)

    def rng(self) -> np.random.Generator:
        """Return the numpy generator of this operation, seeded from the run's seed and the operation's identity.

        Within one attempt every call returns the same generator, which goes on where it stopped; a retry begins anew.
        Threads and tasks that the operation starts itself should each take one of ``rng().spawn(n)``.

        Returns
        -------
        numpy.random.Generator
            The same stream whatever the order, the worker and the attempt.
        """
        frame = self._frame("rng")
        return _stream_of(_array_stream, frame, RunRecord.rng_for)

    def random(self) -> Random:
        """Return the standard-library generator of this operation, which needs no numpy; otherwise as `rng`.

        Returns
        -------
        random.Random
            The same stream whatever the order, the worker and the attempt.
        """
        frame = self._frame("random")
        return _stream_of(_plain_stream, frame, RunRecord.random_for)

    def __getstate__(self) -> object:
        self.shared  # noqa: B018 - a copy shares it with the original, whoever asks for it first
        return super().__getstate__()

    def __repr__(self) -> str:
        settings = self._settings
        parts = []
        if settings.run_id is not None:
            parts.append(f"run_id={settings.run_id!r}")
        if settings.log_level is not None:
            parts.append(f"log_level={settings.log_level!r}")
        if settings.seed is not None:
            parts.append(f"seed={settings.seed}")
        if settings.parameters:
            parts.append(f"parameters={_SHORT.repr(settings.parameters)}")
        if settings.secrets:
            parts.append(f"secrets={list(settings.secrets)}")
        if settings.clients:
            parts.append(f"clients={list(settings.clients)}")
        return settings.secrets.redact(f"{type(self).__name__}({', '.join(parts)})")

    def _own_record(self) -> RunRecord | None:
        """The run that is executing here, if it is one that this context was given to."""
        frame = _core.current_frame()
        if frame is None or frame.run.context is not self:
            return None
        return cast(RunRecord, frame.run)

    def _frame(self, asked_for: str) -> _core.Frame:
        """The attempt that is running here. These questions are about it, whichever context they are put to."""
        frame = _core.current_frame()
        if frame is None:
            raise _outside(asked_for, "it belongs to an operation that is running")
        return frame


def _outside(asked_for: str, reason: str) -> OutsideRunError:
    return OutsideRunError(
        f"context.{asked_for} was asked for outside of a run: {reason}. "
        "Use it in execute(), or in a function or task called from there."
    )


def _key_of(frame: _core.Frame, parts: tuple[str | int | bytes, ...]) -> str:
    record = cast(RunRecord, frame.run)
    return idempotency_key(record.run_id, record.graph_name, record.name_of(frame.node, frame.items), parts)


def _stream_of(
    variable: ContextVar[_Stream | None],
    frame: _core.Frame,
    make: Callable[[RunRecord, int, tuple[int, ...]], _Generator],
) -> _Generator:
    record, here = cast(RunRecord, frame.run), (frame.node, frame.attempt, frame.items)
    current = variable.get()
    if current is not None and current[0]() is record and current[1:4] == here:
        return cast(_Generator, current[4])
    stream = make(record, frame.node, frame.items)
    variable.set((ref(record), *here, stream))
    return stream


_SHORT = Repr()
_SHORT.maxdict = 8
_SHORT.maxstring = 60
_SHORT.maxother = 60
