"""What the Python side keeps of one run: its identity, its streams, its logger, its clients, its errors."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from threading import Lock
from typing import TYPE_CHECKING, Any, Protocol

from execution_dataflow.caching.log import CacheLog
from execution_dataflow.checks.log import CheckLog
from execution_dataflow.clients import ClientPool
from execution_dataflow.error_record import ErrorRecord, exception_text
from execution_dataflow.expansion.scopes import Scopes
from execution_dataflow.kept_state import KeepsState
from execution_dataflow.random_streams import array_stream, fresh_seed, plain_stream, seed_of
from execution_dataflow.run_logging import RunLogger
from execution_dataflow.run_settings import RunSettings

if TYPE_CHECKING:
    from random import Random

    import numpy as np

    from execution_dataflow.checks.outcome import CheckOutcome

__all__ = ["RunConfiguration", "RunRecord"]

_NOTHING: Mapping[int, int] = {}


class RunConfiguration(Protocol):
    """What a run reads from the `ExecutionContext` that it was given."""

    _settings: RunSettings


class RunRecord(KeepsState):
    """One run, as the context and the result see it. The engine makes one per run and gives it to the native run.

    The run id, the seed, the logger and the clients are made when first asked for, so that a run which needs none of
    them pays for none.

    Parameters
    ----------
    run_id : str or None
        The run's name; ``None`` takes the context's, or else a new one.
    graph_name : str
        The name of the graph.
    context : RunConfiguration
        The very context that was given to ``run``.
    names : callable
        Takes a node's index and returns its stable identity.
    seed : int, optional
        ``None`` takes the context's, or else entropy, which is recorded.

    Attributes
    ----------
    errors : dict of int to ErrorRecord
        The failures, by node.
    fallbacks : dict of int to ErrorRecord
        The failures for which something stood in, by node.
    dimensions : DimensionFlow or None
        The named dimensions of a run that has some.
    guard : WriteGuard or None
        What watches a run with ``debug=True``.
    late_errors : list of ErrorRecord
        What was found to be wrong when every operation had its outcome.
    warnings : list of str
        What ``debug=True`` found that is no failure.
    reverted, not_reverted : list of str
        What the undoing of the run has reverted, and what it did not come to.
    revert_errors : list of ErrorRecord
        What reverts raised.
    unrecorded : dict of int to BaseException
        What the native run could not have recorded in `errors`, by node.
    superseded : dict of int to list of str
        The texts of failed attempts that were followed by another one. Texts only: an exception's frames keep arrays
        alive.
    progress : dict of int to (float, str)
        The last progress that an operation reported.
    cancel_requested : bool
        Whether somebody cancelled the run; set by the engine.
    cancel_reason : str or None
        Who or why; set by the engine.
    deadline_exceeded : float or None
        The deadline, in seconds, if the run was cancelled because that was over; set by the engine.
    left_behind : list of str
        The operations that did not stop when the run was cancelled, and were left to themselves.
    checkpoint : RunCheckpoint or None
        What keeps what it has done, where something does.
    checkpoint_error : BaseException or None
        After what nothing could be kept any more.
    cache, cache_log : RunCache or None, CacheLog or None
        Where operations find results of earlier runs, set by the engine; and what came of it.
    checks : CheckLog or None
        What checks of ports found; ``None`` until the first one was asked.
    emit_check : callable or None
        Takes node and outcome of a check; set by the engine while somebody listens.
    emit_progress : callable or None
        Takes node, items, fraction and message; set by the engine while somebody listens.
    scopes : Scopes or None
        The expansions, of a run that may have some; `names` is theirs then.
    run_awaitable : callable or None
        Runs an awaitable on the engine's event loop to its end; set by the engine once it has one.
    state_store : Store or None
        Where persistent state is kept; set by the engine.
    overlays : StateOverlays or None
        What live attempts have read and written of the state; ``None`` until the first one asks for it.
    """

    __slots__ = (
        "__weakref__",
        "_clients",
        "_lock",
        "_logger",
        "_run_id",
        "_seed",
        "_settings",
        "cache",
        "cache_log",
        "cancel_reason",
        "cancel_requested",
        "checkpoint",
        "checkpoint_error",
        "checks",
        "context",
        "deadline_exceeded",
        "dimensions",
        "emit_check",
        "emit_progress",
        "errors",
        "fallbacks",
        "graph_name",
        "guard",
        "held",
        "late_errors",
        "left_behind",
        "limits",
        "names",
        "not_reverted",
        "progress",
        "revert_errors",
        "reverted",
        "run_awaitable",
        "scopes",
        "superseded",
        "unrecorded",
        "warnings",
    )

    def __init__(
        self,
        run_id: str | None,
        graph_name: str,
        context: RunConfiguration,
        names: Callable[[int], str],
        seed: int | None = None,
    ) -> None:
        self.graph_name = graph_name
        # What its operations ask for is counted there; this much is held by those that wait for this run.
        self.limits: object | None = None
        self.held: Mapping[int, int] = _NOTHING
        self.context = context
        self.names = names
        self.scopes: Scopes | None = None
        self.errors: dict[int, ErrorRecord] = {}
        self.fallbacks: dict[int, ErrorRecord] = {}
        self.guard: Any = None
        self.dimensions: Any = None
        self.late_errors: list[ErrorRecord] = []
        self.warnings: list[str] = []
        self.reverted: list[str] = []
        self.not_reverted: list[str] = []
        self.revert_errors: list[ErrorRecord] = []
        self.unrecorded: dict[int, BaseException] = {}
        self.superseded: dict[int, list[str]] = {}
        self.progress: dict[int, tuple[float, str]] = {}
        self.cancel_requested = False
        self.cancel_reason: str | None = None
        self.deadline_exceeded: float | None = None
        self.left_behind: list[str] = []
        self.checks: CheckLog | None = None
        self.cache: Any = None
        self.cache_log: CacheLog | None = None
        self.checkpoint: Any = None
        self.checkpoint_error: BaseException | None = None
        self.emit_check: Callable[[int, CheckOutcome], object] | None = None
        self.emit_progress: Callable[[int, tuple[int, ...], float, str], object] | None = None
        self.run_awaitable: Callable[[Awaitable[Any]], Any] | None = None
        self.state_store = None
        self.overlays = None
        # Kept here, since a context that a user changes during a run must not change the run.
        self._settings = settings = context._settings
        self._run_id = run_id if run_id is not None else settings.run_id
        self._seed = seed if seed is not None else settings.seed
        self._logger: logging.Logger | None = None
        self._clients: ClientPool | None = None
        self._lock = Lock()

    @property
    def run_id(self) -> str:
        """The name of the run; where nobody chose one, a date, a time and 32 random bits."""
        if self._run_id is None:
            with self._lock:
                if self._run_id is None:
                    self._run_id = f"{time.strftime('%Y%m%d-%H%M%S')}-{os.urandom(4).hex()}"
        return self._run_id

    @property
    def seed(self) -> int:
        """The seed of every random stream of the run; where nobody gave one, the entropy that was drawn."""
        if self._seed is None:
            with self._lock:
                if self._seed is None:
                    self._seed = fresh_seed()
        return self._seed

    def derive_seed(self) -> None:
        """Have a seed that nobody gave follow from the name of the run: one that is resumed has the same."""
        if self._seed is None:
            self._seed = seed_of(self.run_id)

    @property
    def given_seed(self) -> int | None:
        """The seed that the user gave; ``None`` if the run draws one."""
        return self._settings.seed

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The parameters of the context, as they were when the run began."""
        return self._settings.parameters

    @property
    def clients(self) -> ClientPool:
        """The clients of this run."""
        if self._clients is None:
            with self._lock:
                if self._clients is None:
                    self._clients = ClientPool(self._settings.clients)
        return self._clients

    def name_of(self, node: int, items: tuple[int, ...] = ()) -> str:
        """Return the stable identity of an operation, or of an item of a map (rule G6).

        Parameters
        ----------
        node : int
            The index of the operation.
        items : tuple of int
            The index of the item; of one within a map in a map, that of the outer one first.

        Returns
        -------
        str
            Such as ``"square[17]"``.
        """
        return self.names(node) + "".join(f"[{index}]" for index in items)

    def logger_for(self, node: int | None, items: tuple[int, ...] = ()) -> RunLogger:
        """Return the logger of one operation, or of the run itself.

        Parameters
        ----------
        node : int or None
            The index of the operation.
        items : tuple of int
            Which item of a map it is.

        Returns
        -------
        RunLogger
            A logger adapter with ``run_id`` and ``operation``.
        """
        if self._logger is None:
            self._logger = self._settings.new_logger()
        operation = self.name_of(node, items) if node is not None else None
        return RunLogger(self._logger, {"run_id": self.run_id, "operation": operation})

    def rng_for(self, node: int, items: tuple[int, ...] = ()) -> np.random.Generator:
        """Return the numpy generator of one operation, at the beginning of its stream.

        Parameters
        ----------
        node : int
            The index of the operation.
        items : tuple of int
            Which item of a map it is.

        Returns
        -------
        numpy.random.Generator
            The same stream for every attempt and every schedule.
        """
        return array_stream(self.seed, self.name_of(node, items))

    def random_for(self, node: int, items: tuple[int, ...] = ()) -> Random:
        """Return the standard-library generator of one operation, at the beginning of its stream.

        Parameters
        ----------
        node : int
            The index of the operation.
        items : tuple of int
            Which item of a map it is.

        Returns
        -------
        random.Random
            The same stream for every attempt and every schedule.
        """
        return plain_stream(self.seed, self.name_of(node, items))

    def report_progress(self, node: int, fraction: float, message: str, items: tuple[int, ...] = ()) -> None:
        """Keep the progress of an operation and tell who listens.

        Parameters
        ----------
        node : int
            The index of the operation.
        fraction : float
            How much is done, from 0 to 1.
        message : str
            What is being done.
        items : tuple of int
            Which item of a map it is: that is told and not kept, since there may be millions.
        """
        message = self.redact(message)
        if not items:
            self.progress[node] = (fraction, message)
        emit = self.emit_progress
        if emit is not None:
            emit(node, items, fraction, message)

    def note_checks(
        self, node: int, items: tuple[int, ...], label: str, outcomes: Sequence[CheckOutcome], is_success: bool
    ) -> None:
        """Keep what the checks of an attempt found, warn where they say so, and tell who listens.

        Parameters
        ----------
        node : int
            The index of the operation.
        items : tuple of int
            Which item of a map it is.
        label : str
            The name of the class or function that runs there.
        outcomes : sequence of CheckOutcome
            What was found.
        is_success : bool
            Whether the attempt has succeeded.
        """
        with self._lock:
            log = self.checks = self.checks or CheckLog()
        outcomes = [outcome if outcome.passed else outcome.redacted(self.redact) for outcome in outcomes]
        for text in log.note(node, items, label, outcomes, is_success):
            self.logger_for(node, items).warning("%s", text)
        if (emit := self.emit_check) is not None:
            for outcome in outcomes:
                emit(node, outcome)

    def supersede(self, node: int, error: BaseException) -> str:
        """Note a failed attempt that another one will follow.

        Parameters
        ----------
        node : int
            The index of the operation.
        error : BaseException
            What the attempt raised; only its text is kept.

        Returns
        -------
        str
            The text, without secrets.
        """
        self.drop_state(node)
        text = self.redact(exception_text(error))
        self.superseded.setdefault(node, []).append(text)
        return text

    def fail(self, node: int, attempt: int, max_attempts: int, error: BaseException) -> ErrorRecord:
        """Note the failure of an operation.

        Parameters
        ----------
        node : int
            The index of the operation.
        attempt, max_attempts : int
            The attempt that failed, from 1, and how many were allowed.
        error : BaseException
            What it raised.

        Returns
        -------
        ErrorRecord
            What `errors` now holds for it.
        """
        record = self.error_record(node, attempt, max_attempts, error)
        self.errors[node] = record
        return record

    def error_record(
        self, node: int, attempt: int, max_attempts: int, error: BaseException, fallback: str | None = None
    ) -> ErrorRecord:
        """Return the record of a failure, with the texts of the attempts before it, without noting it.

        Parameters
        ----------
        node : int
            The index of the operation.
        attempt, max_attempts : int
            The attempt that failed, from 1, and how many were allowed.
        error : BaseException
            What it raised.
        fallback : str, optional
            What stood in for it.

        Returns
        -------
        ErrorRecord
            Its texts are without secrets.
        """
        self.drop_state(node)
        # Not the text of this attempt: it was noted as superseded when the run ended during the wait for the next one.
        earlier = tuple(self.superseded.get(node, ())[: attempt - 1])
        # Not self.redact: this record holds that one, and a cycle would keep the frames until it is collected.
        redact = self._settings.secrets.redact
        return ErrorRecord(node, self.names(node), attempt, max_attempts, error, earlier, redact, fallback)

    def error_beside(self, error: BaseException, what: str) -> ErrorRecord:
        """Return the record of something that went wrong beside the operations."""
        return ErrorRecord(-1, what, 1, 1, error, (), self._settings.secrets.redact)

    def redact(self, text: str) -> str:
        """Return a text without the secrets of this run's context.

        Parameters
        ----------
        text : str
            Any text.

        Returns
        -------
        str
            The text with ``***`` for every secret.
        """
        return self._settings.secrets.redact(text)

    @property
    def has_clients(self) -> bool:
        """Whether operations may ask for clients."""
        return bool(self._settings.clients)

    @property
    def has_open_clients(self) -> bool:
        """Whether a factory has made one that is to be closed."""
        return self._clients is not None and self._clients.has_open

    def close(self) -> None:
        """Close the clients. What cannot be closed is logged: the run is over and its result stands."""
        if self._clients is None and not self._settings.clients:
            return
        with self._lock:
            if self._clients is None:
                self._clients = ClientPool(self._settings.clients)  # so that a thread left behind finds it closed
            clients = self._clients
        for name, fault in clients.close(self.run_awaitable):
            self.logger_for(None).warning("client %r could not be closed", name, exc_info=fault)

    def __repr__(self) -> str:
        return f"<RunRecord {self.run_id!r} of graph {self.graph_name!r}>"
