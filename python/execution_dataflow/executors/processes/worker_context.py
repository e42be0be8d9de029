"""What an operation in a worker process sees of its run: copies, and what reaches the parent (rule C1)."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from execution_dataflow.checks.outcome import CheckOutcome
from execution_dataflow.executors.processes.failures import text_of
from execution_dataflow.executors.processes.messages import LOG, PROGRESS
from execution_dataflow.executors.processes.run_seed import RunSeed
from execution_dataflow.executors.processes.shared_proxy import parent
from execution_dataflow.executors.processes.state_reader import StateReader
from execution_dataflow.run_logging import RunLogger
from execution_dataflow.run_record import RunRecord
from execution_dataflow.store_errors import NoStateStoreError

if TYPE_CHECKING:
    from execution_dataflow.kept_state import StateTerms
    from execution_dataflow.persistent_state.overlays import StateOverlays

__all__ = ["CheckNote", "GuestRecord"]

CheckNote: TypeAlias = tuple[int, tuple[int, ...], str, tuple[CheckOutcome, ...], bool]
"""What `RunRecord.note_checks` takes."""


_PLAIN = frozenset({str, int, float, bool, type(None)})


class _SendingLogger(logging.Logger):
    """Sends records to the parent, whose handlers and filters they are for."""

    def __init__(self, run: int, level: int) -> None:
        super().__init__("execution_dataflow.run", level)
        self._run = run

    def isEnabledFor(self, level: int) -> bool:
        return level >= self.level

    def handle(self, record: logging.LogRecord) -> None:
        fields = dict(vars(record))
        try:
            fields["msg"], fields["args"] = record.getMessage(), None
        except Exception:
            fields["msg"], fields["args"] = f"{record.msg!r} with arguments {record.args!r} that do not fit it", None
        if record.exc_info and record.exc_info[0] is not None:
            fields["exc_text"] = logging.Formatter().formatException(record.exc_info)
        fields["exc_info"] = None
        # What is not plain goes apart: it may fail to load where the record is heard, which is to hear the rest.
        others: dict[str, tuple[bytes, str]] = {}
        for name, value in list(fields.items()):
            if type(value) not in _PLAIN:
                del fields[name]
                others[str(name)] = _stream_of(value), text_of(value)
        parent().tell(LOG, (self._run, fields, others))


def _stream_of(value: Any) -> bytes:
    try:
        return pickle.dumps(value, 5)
    except BaseException:
        return b""  # which does not load: its text stands for it


class GuestRecord(RunRecord):
    """Stands for the record of a run of the parent.

    Parameters
    ----------
    number : int
        By which the parent knows the run.
    seed : RunSeed
        What is known of it here.
    """

    __slots__ = ("_check_notes", "_log", "_state_terms", "node_names", "number")

    def __init__(self, number: int, seed: RunSeed) -> None:
        self.node_names: dict[int, str] = {}
        super().__init__(seed.run_id, seed.graph_name, seed.context, self.node_names.__getitem__, seed.seed)
        self.number = number
        self._check_notes: list[CheckNote] = []
        self._log = _SendingLogger(number, seed.log_level)
        self._state_terms = seed.state_terms

    @property
    def state_terms(self) -> StateTerms | None:
        """How values of state are encoded, as the parent says."""
        return self._state_terms

    def _new_overlays(self) -> StateOverlays:
        if self._state_terms is None:
            raise NoStateStoreError
        from execution_dataflow.persistent_state.overlays import StateOverlays

        reader = StateReader(self.number, *self._state_terms)
        return StateOverlays(reader, self.graph_name, reader.operation_name)

    def logger_for(self, node: int | None, items: tuple[int, ...] = ()) -> RunLogger:
        """Return a logger whose records go to the parent."""
        operation = self.name_of(node, items) if node is not None else None
        return RunLogger(self._log, {"run_id": self.run_id, "operation": operation})

    def note_checks(
        self, node: int, items: tuple[int, ...], label: str, outcomes: Sequence[CheckOutcome], is_success: bool
    ) -> None:
        """Keep what checks found until the result is sent, which it goes before."""
        self._check_notes.append((node, items, label, tuple(outcomes), is_success))

    def take_check_notes(self) -> list[CheckNote]:
        """Return what checks found since the last call."""
        notes, self._check_notes = self._check_notes, []
        return notes

    def report_progress(self, node: int, fraction: float, message: str, items: tuple[int, ...] = ()) -> None:
        """Tell the parent of the progress of an operation."""
        parent().tell(PROGRESS, (self.number, node, items, fraction, message))
