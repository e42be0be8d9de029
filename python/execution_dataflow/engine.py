"""The engine that runs graphs on this machine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

from execution_dataflow.byte_limits import checked_bytes
from execution_dataflow.caching.engine_cache import CacheChoice, cache_of_engine
from execution_dataflow.checkpoints.settings import Checkpoint, Durability, checked_checkpoint
from execution_dataflow.checkpoints.stores_of_engine import StoreAddress, checked_address
from execution_dataflow.context import ExecutionContext
from execution_dataflow.contract_levels import ContractLevel
from execution_dataflow.cpus import usable_cpus
from execution_dataflow.engine_limits import EngineLimits, TagLimit, checked_resources, checked_tags
from execution_dataflow.engine_options import RunOptions
from execution_dataflow.engine_runs import EngineRuns, OnFailure
from execution_dataflow.event_dispatch import Subscription
from execution_dataflow.events import Event
from execution_dataflow.executors.threads import worker_threads
from execution_dataflow.graph import GraphDefinition
from execution_dataflow.handle import RunHandle
from execution_dataflow.plan import Plan
from execution_dataflow.policies import FailurePolicy
from execution_dataflow.result import ExecutionResult

__all__ = ["ExecutionEngine", "OnFailure"]


class ExecutionEngine(EngineRuns):
    """Runs graphs on threads of this process, in worker processes and, for coroutine operations, on an event loop.

    An engine may run any number of graphs, one after the other or at the same time, from any thread. Engines share one
    pool of worker threads. The calling thread of ``run`` is a worker too.

    Parameters
    ----------
    max_workers : int, optional
        How many operations of one run may run at the same time, the calling thread included. The default is the number
        of CPUs that this process may use.
    failure_policy : {"fail_fast", "continue"}
        ``"fail_fast"``: nothing new starts after a failure. ``"continue"``: every branch that does not depend on the
        failure is finished.
    retain : {"terminal", "all"} or list
        Which outputs the result keeps: those that no channel leaves; all; or in addition to the first those of the
        listed operations, or ``(operation, "port")`` pairs.
    executor : {"thread", "process", "inline"}, optional
        Where operations run that do not say so themselves; coroutine functions always run on an event loop.
        ``"process"``: in worker processes, at most `max_workers` of them. ``"inline"``: on the calling thread, one
        after the other, and so is everything that asks for a thread.
    event_drain_seconds : float
        How long the end of a run waits for slow subscribers before their events are dropped, counted and warned of.
    native_threads : {"auto", "unlimited"} or int
        How many threads BLAS and OpenMP may use for one worker. ``"auto"``: while several workers are at work, each
        has its share of the CPUs; a worker that is alone has what the libraries have by themselves. ``"unlimited"``:
        the libraries are left alone. A number: so many, in every run from its start, however many workers there are.
    resources : mapping of str to float, optional
        How much there is of what operations ask for with ``resources=``, for all runs of this engine together.
    tag_limits : mapping of str to (int, RateLimit or tuple of both), optional
        How many of the operations with a tag may run at the same time, and how often they may start.
    memory_limit : int or str, optional
        What the values between operations may hold, in bytes or as ``"4 GB"``: operations whose outputs would go
        beyond it wait until others have freed enough, as long as anything else of their run goes on. What an operation
        uses while it works, and what a result keeps after its run, does not count.
    on_failure : {"keep", "revert"}
        What follows a run that failed or was cancelled. ``"keep"``: nothing. ``"revert"``: what had succeeded is
        undone, by the ``revert`` methods of the operations that define one.
    debug : bool
        Whether to look at every shared value before and after each operation that receives it. One that writes to such
        a value fails with a `SharedValueChangedError`; what an operation writes to itself is in ``result.warnings``. It
        takes as long as reading all these values two or three times.
    deadline_seconds : float, optional
        How long a run may take in all, with everything that waits in it; then it is cancelled.
    grace_seconds : float
        How long operations of a cancelled run may take to stop by themselves before they are interrupted, or killed in
        worker processes; and how long what was interrupted, for that or for its ``timeout_seconds``, may take to stop
        before it is set aside.
    contracts : {"values", "connect", "off"}
        Whether the values that operations set and receive are compared with what their ports declare, or with
        ``"connect"`` and ``"off"`` not at all, and at no cost. The types of ports are compared when a graph is built:
        see `GraphDefinition`, whose own level counts if it is the lower one.
    checkpoint : str, Path, Store or Checkpoint, optional
        Where runs keep what they have done, such as ``"sqlite:///runs.db"``. Another run with the same ``run_id`` takes
        it over and runs only the rest.
    durability : {"batched", "each"}, optional
        When a success counts as committed: see `Checkpoint`.
    state : str, Path or Store, optional
        Where ``context.state`` is kept; by default the store of the checkpoint, which it is to be if there is one.
    cache : str, Path, Store, ResultCache or bool, optional
        Where operations with ``cache=True`` keep their results: the cache of the user by default, see `ResultCache`.
        ``False``: nowhere, and nothing that was kept is used.

    Examples
    --------
    >>> from execution_dataflow import ExecutionEngine, GraphDefinition, operation
    >>> @operation
    ... def add(a: int, b: int) -> int:
    ...     return a + b
    >>> graph = GraphDefinition()
    >>> three = graph.add(add, a=1, b=2)
    >>> six = graph.add(add, a=three, b=three)
    >>> with ExecutionEngine(max_workers=2) as engine:
    ...     engine.run(graph).get_output(six)
    6
    """

    def __init__(
        self,
        *,
        max_workers: int | None = None,
        failure_policy: FailurePolicy = "fail_fast",
        retain: str | Sequence[Any] = "terminal",
        executor: str | None = None,
        event_drain_seconds: float = 5.0,
        native_threads: Literal["auto", "unlimited"] | int = "auto",
        resources: Mapping[str, float] | None = None,
        tag_limits: Mapping[str, TagLimit] | None = None,
        memory_limit: int | str | None = None,
        on_failure: OnFailure = "keep",
        debug: bool = False,
        deadline_seconds: float | None = None,
        grace_seconds: float = 1.0,
        contracts: ContractLevel = "values",
        checkpoint: StoreAddress | Checkpoint | None = None,
        durability: Durability | None = None,
        state: StoreAddress | None = None,
        cache: CacheChoice = None,
    ) -> None:
        if max_workers is None:
            max_workers = usable_cpus()
        options = RunOptions(
            max_workers,
            failure_policy,
            retain,
            event_drain_seconds,
            native_threads,
            EngineLimits(
                checked_resources(resources), checked_tags(tag_limits), checked_bytes("memory_limit", memory_limit)
            ),
            executor,
            on_failure,
            debug,
            deadline_seconds,
            grace_seconds,
            contracts,
            checked_checkpoint(checkpoint, durability),
            checked_address(state, "state"),
            cache_of_engine(cache),
        )
        super().__init__(options)

    @property
    def executor(self) -> str | None:
        """Where operations run that do not say so themselves; ``None`` is on a thread."""
        return self._options.executor

    @property
    def resources(self) -> dict[str, float]:
        """How much there is of what operations ask for with ``resources=``."""
        return dict(self._options.limits.resources)

    def run(
        self,
        graph: GraphDefinition | Plan,
        context: ExecutionContext | None = None,
        *,
        parameters: Mapping[str, Any] | None = None,
        targets: Iterable[Any] | None = None,
        overrides: Mapping[Any, Any] | None = None,
        failure_policy: FailurePolicy | None = None,
        retain: str | Sequence[Any] | None = None,
        max_workers: int | None = None,
        on_failure: OnFailure | None = None,
        deadline_seconds: float | None = None,
        checkpoint: StoreAddress | Checkpoint | Literal[False] | None = None,
    ) -> ExecutionResult:
        """Run a graph to its end, on the calling thread and on the pool's.

        Parameters
        ----------
        graph : GraphDefinition or Plan
            What to run; a graph is compiled first.
        context : ExecutionContext, optional
            What operations receive; a new one by default.
        parameters : mapping of str to object, optional
            The values of the graph's parameters: see `GraphDefinition.parameter`.
        targets : iterable, optional
            What is wanted of the graph: operations, outputs, or names of either. Only they and what they need run.
        overrides : mapping, optional
            Values for ports, by ``operation["port"]``, ``(operation, "port")`` or ``"operation.port"``, or by an
            operation with one output. What is needed for nothing else does not run.
        failure_policy, retain, max_workers, on_failure, deadline_seconds, checkpoint
            For this run, instead of the engine's; ``checkpoint=False`` keeps nothing.

        Returns
        -------
        ExecutionResult
            What the run came to. A failing operation is no exception here: ask ``is_successful()`` or call
            ``raise_if_failed()``.

        Raises
        ------
        GraphValidationError
            The graph has faults; nothing was started.
        ParameterError, UnknownOperationError, UnknownPortError, PortTypeError
            A parameter, a target or an override is missing, unknown or wrong; nothing was started.
        RunHeldError
            Another process runs this run id with the same checkpoint; nothing was started.
        StoreError
            The checkpoint cannot be read or written; nothing was started.
        RunInterrupted
            Ctrl-C came, or an operation raised ``KeyboardInterrupt``; nothing is left running.
        EngineClosedError
            The engine was closed.
        RuntimeError
            On the thread of the engine's own event loop, which a run would hold up: await ``run_async`` there.
        """
        if self._threads.loop_thread is not None and self._threads.loop_thread.is_current_thread:
            raise RuntimeError(
                "engine.run() was called on the engine's own event loop, in a coroutine operation, and would hold it "
                "up: use `await engine.run_async(...)` there"
            )
        asked = parameters, targets, overrides
        run = self._prepare(
            graph, context, asked, failure_policy, retain, max_workers, on_failure, deadline_seconds, checkpoint, True
        )
        try:
            return run.drive()
        finally:
            if not run.core.started:
                run.give_up_unless_started()
            del run  # as in `drive`: no cycle from a traceback to the result

    def submit(
        self,
        graph: GraphDefinition | Plan,
        context: ExecutionContext | None = None,
        *,
        parameters: Mapping[str, Any] | None = None,
        targets: Iterable[Any] | None = None,
        overrides: Mapping[Any, Any] | None = None,
        failure_policy: FailurePolicy | None = None,
        retain: str | Sequence[Any] | None = None,
        max_workers: int | None = None,
        on_failure: OnFailure | None = None,
        deadline_seconds: float | None = None,
        checkpoint: StoreAddress | Checkpoint | Literal[False] | None = None,
    ) -> RunHandle:
        """Start a run on the pool's threads and return at once.

        Parameters
        ----------
        graph, context, parameters, targets, overrides
            As for `run`.
        failure_policy, retain, max_workers, on_failure, deadline_seconds, checkpoint
            As for `run`.

        Returns
        -------
        RunHandle
            To wait for the run, follow it and cancel it.

        Raises
        ------
        GraphValidationError
            The graph has faults; nothing was started.
        EngineClosedError
            The engine was closed.
        """
        asked = parameters, targets, overrides
        run = self._prepare(
            graph, context, asked, failure_policy, retain, max_workers, on_failure, deadline_seconds, checkpoint, False
        )
        try:
            self._keep_until_end(run)
            run.submit()
        finally:
            run.give_up_unless_started()
        return RunHandle(run)

    async def run_async(
        self,
        graph: GraphDefinition | Plan,
        context: ExecutionContext | None = None,
        *,
        parameters: Mapping[str, Any] | None = None,
        targets: Iterable[Any] | None = None,
        overrides: Mapping[Any, Any] | None = None,
        failure_policy: FailurePolicy | None = None,
        retain: str | Sequence[Any] | None = None,
        max_workers: int | None = None,
        on_failure: OnFailure | None = None,
        deadline_seconds: float | None = None,
        checkpoint: StoreAddress | Checkpoint | Literal[False] | None = None,
    ) -> ExecutionResult:
        """Run a graph without holding up the event loop that awaits it.

        Coroutine operations run on that loop, the others on the pool's threads. Cancelling the awaiting task cancels
        the run, and the cancellation is passed on when nothing of it runs any more.

        Parameters
        ----------
        graph, context, parameters, targets, overrides
            As for `run`.
        failure_policy, retain, max_workers, on_failure, deadline_seconds, checkpoint
            As for `run`.

        Returns
        -------
        ExecutionResult
            What the run came to.

        Raises
        ------
        GraphValidationError
            The graph has faults; nothing was started.
        RunInterrupted
            An operation raised ``KeyboardInterrupt``.
        """
        import asyncio

        from execution_dataflow.executors.event_loop import CoroutineHost

        loop = asyncio.get_running_loop()
        host = CoroutineHost(loop)
        asked = parameters, targets, overrides
        run = self._prepare(
            graph,
            context,
            asked,
            failure_policy,
            retain,
            max_workers,
            on_failure,
            deadline_seconds,
            checkpoint,
            False,
            lambda: host,
        )
        ended: asyncio.Future[None] = loop.create_future()

        def note_end() -> None:
            if not ended.done():
                ended.set_result(None)

        self._keep_until_end(run, lambda: loop.call_soon_threadsafe(note_end))
        # An operation on a worker may have a loop of its own, and block the worker with it.
        with worker_threads.replace_blocked():
            run.submit()
            return await run.finish_on_loop(ended)

    def subscribe(self, callback: Callable[[Any], object], *event_types: type[Event]) -> Subscription:
        """Have the events of runs that start from now on delivered, in order, on the engine's dispatcher thread.

        Parameters
        ----------
        callback : callable
            Takes an event. What it raises is logged and changes nothing.
        event_types : type
            The events that it wants; all by default.

        Returns
        -------
        Subscription
            To close it; a context manager.

        Examples
        --------
        >>> from execution_dataflow import ExecutionEngine, GraphDefinition, OperationCompleted
        >>> graph = GraphDefinition()
        >>> answer = graph.add(lambda: 42)
        >>> names = []
        >>> engine = ExecutionEngine()
        >>> with engine.subscribe(lambda event: names.append(event.operation), OperationCompleted):
        ...     result = engine.run(graph)
        >>> names
        ['lambda']
        """
        if not callable(callback):
            raise TypeError(f"a subscriber is a callable that takes an event, not {type(callback).__name__}")
        kinds: tuple[object, ...] = event_types
        for kind in kinds:
            if not (isinstance(kind, type) and issubclass(kind, Event)):
                raise TypeError(f"{kind!r} is no event class; take them from execution_dataflow, for instance Event")
        self._check_open()
        return self._threads.dispatcher.add(callback, event_types)
