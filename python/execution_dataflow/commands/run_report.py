"""A run as one JSON document."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

from execution_dataflow.commands.json_values import as_json
from execution_dataflow.error_record import ErrorRecord
from execution_dataflow.result import ExecutionResult

__all__ = ["run_document"]

# Further failures are in the counts of states.
_MOST_FAILURES = 100


def run_document(result: ExecutionResult, outputs: Mapping[str, Any]) -> str:
    """Return what a run came to as JSON, in ASCII.

    Parameters
    ----------
    result : ExecutionResult
        The result.
    outputs : mapping of str to object
        The values to show, by name.

    Returns
    -------
    str
        An object with ``run_id``, ``graph``, ``success``, ``state``, ``seconds``, ``seed``, ``states`` (how many
        operations ended in each), ``outputs``, ``error`` (``null`` or the first failure), ``failures``, ``timings`` and
        ``warnings``.
    """
    failures = [_failure(record) for record in result.errors[:_MOST_FAILURES]]
    message = result.get_error_message()
    first = result.first_error
    warnings = list(result.warnings)
    if result.dropped_events:
        warnings.append(f"{result.dropped_events} events were dropped, because the display was too slow")
    document = {
        "run_id": result.run_id,
        "graph": result.graph_name,
        "success": result.is_successful(),
        "state": result.state.name,
        "seconds": result.seconds,
        "seed": result.seed,
        "states": dict(Counter(state.name for state in result.states.values())),
        "outputs": {name: as_json(value) for name, value in outputs.items()},
        "error": None if message is None else {"text": message, **({} if first is None else _failure(first))},
        "failures": failures,
        "fallbacks": [_failure(record) for record in result.fallbacks[:_MOST_FAILURES]],
        "timings": [
            {
                "operation": timing.operation,
                "queued": timing.queued,
                "started": timing.started,
                "seconds": timing.seconds,
                "attempts": timing.attempts,
                "worker": timing.worker,
            }
            for timing in result.timings
        ],
        "warnings": warnings,
    }
    return json.dumps(document, indent=2, allow_nan=False)


def _failure(record: ErrorRecord) -> dict[str, Any]:
    return {
        "operation": record.operation,
        "type": type(record.exception).__name__,
        "message": record.message,
        "attempt": record.attempt,
        "max_attempts": record.max_attempts,
        "where": record.where,
        "traceback": record.traceback_text,
    }
