"""What a worker process is told of a run: a copy of its context, and what the run goes by (rule C1)."""

from __future__ import annotations

import logging
import os
import pickle
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

from execution_dataflow.context import ExecutionContext
from execution_dataflow.executors.processes.failures import text_of
from execution_dataflow.executors.processes.shared_proxy import remote_state, share
from execution_dataflow.executors.processes.values import Packer
from execution_dataflow.kept_state import StateTerms
from execution_dataflow.process_errors import TransferError
from execution_dataflow.run_record import RunRecord
from execution_dataflow.run_settings import RunSettings
from execution_dataflow.shared_state import SharedState

__all__ = ["RunSeed", "pack_seed"]

_OWN_FIELDS = {"_settings", "_shared"}
_PLAIN = {int, str, type(None)}


class RunSeed(NamedTuple):
    """A run, as a worker process sees it.

    Parameters
    ----------
    context : ExecutionContext
        A copy of the context.
    run_id, graph_name : str
        What the run is called.
    seed : int
        The seed of its random streams.
    log_level : int
        The lowest level of log records that reach the parent's handlers.
    directory : str
        The working directory.
    path : list of str
        Where modules are found.
    state_terms : StateTerms or None
        How values of persistent state are encoded; ``None`` in a run that has none.
    """

    context: ExecutionContext
    run_id: str
    graph_name: str
    seed: int
    log_level: int
    directory: str
    path: list[str]
    state_terms: StateTerms | None


def pack_seed(record: RunRecord, packer: Packer, keys: dict[int, str]) -> bytes:
    """Return what is sent of a run.

    Parameters
    ----------
    record : RunRecord
        The run.
    packer : Packer
        Packs for worker processes.
    keys : dict of int to str
        Takes the keys of the shared states by identity, to be forgotten when the run ends.

    Raises
    ------
    TransferError
        Something in the context cannot be pickled.
    """

    def pack_shared(shared: SharedState) -> Any:
        key = keys.get(id(shared))
        if key is None:
            key = keys[id(shared)] = share(shared)
        return remote_state, (key,)

    def pack_settings(settings: RunSettings) -> Any:
        clients = {name: _packed_client(packer, name, source) for name, source in settings.clients.items()}
        rest = settings._replace(logger=None, clients={})
        return _remake_settings, (tuple(rest), clients)

    # Values of operations may hold a context, or a shared state, too.
    packer.special[SharedState] = pack_shared
    packer.special[RunSettings] = pack_settings
    context: Any = record.context
    rest = (
        record.run_id,
        record.graph_name,
        record.seed,
        _effective_level(record.logger_for(None).logger),
        _working_directory(),
        [str(entry) for entry in sys.path],
        record.state_terms,
    )
    try:
        if _is_bare(context) and type(record.graph_name) is str:
            settings = context._settings
            bare = settings.run_id, settings.log_level, settings.seed, pack_shared(context.shared)[1]
            return pickle.dumps(_BareSeed((bare, rest)), 5)
        return packer.pack_in_band(RunSeed(context, *rest)).stream
    except BaseException as fault:
        raise TransferError(
            f"the context of run {record.run_id!r} cannot be sent to worker processes: {text_of(fault)}. Put only what "
            "pickles into its parameters and attributes; make connections in clients={name: factory}"
        ) from fault


def _working_directory() -> str:
    try:
        return os.getcwd()
    except OSError as fault:
        raise TransferError(
            f"the working directory of this process is gone, and worker processes work where it does: {fault}. Go to "
            "one that exists with os.chdir()"
        ) from fault


def _is_bare(context: Any) -> bool:
    """Whether a context has nothing of its user's but plain settings: it needs no look at every object in it."""
    if type(context) is not ExecutionContext or vars(context).keys() - _OWN_FIELDS:
        return False
    settings = context._settings
    if settings.parameters or settings.secrets or settings.clients or type(context.shared) is not SharedState:
        return False
    return {type(settings.run_id), type(settings.log_level), type(settings.seed)} <= _PLAIN


class _BareSeed:
    """Pickles as what `_bare_seed` makes of it."""

    __slots__ = ("_arguments",)

    def __init__(self, arguments: tuple[Any, ...]) -> None:
        self._arguments = arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return _bare_seed, self._arguments


def _bare_seed(bare: tuple[Any, ...], rest: tuple[Any, ...]) -> RunSeed:
    run_id, log_level, seed, shared = bare
    context = ExecutionContext.__new__(ExecutionContext)
    context._settings = RunSettings(run_id=run_id, log_level=log_level, seed=seed)
    context._shared = remote_state(*shared)
    return RunSeed(context, *rest)


def _effective_level(logger: logging.Logger) -> int:
    return max(logger.getEffectiveLevel(), logger.manager.disable + 1)


def _packed_client(packer: Packer, name: str, source: Any) -> tuple[bytes | None, str]:
    try:
        return packer.pack_in_band(source).stream, ""
    except BaseException as fault:
        how = "its factory" if callable(source) else "a client that is ready; give a factory instead:"
        return None, f"client {name!r} cannot be made in a worker process: {how} cannot be pickled ({text_of(fault)})"


def _remake_settings(fields: tuple[Any, ...], clients: dict[str, tuple[bytes | None, str]]) -> RunSettings:
    return RunSettings(*fields)._replace(clients={name: _client(*packed) for name, packed in clients.items()})


def _client(stream: bytes | None, fault: str) -> Any:
    if stream is None:
        return _refusing(fault)
    try:
        return pickle.loads(stream)
    except BaseException as error:
        return _refusing(f"a client cannot be made in a worker process: {text_of(error)}")


def _refusing(fault: str) -> Callable[[], Any]:
    def factory() -> Any:
        raise TransferError(fault)

    return factory
