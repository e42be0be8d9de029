"""Looking after a store: deleting the runs that nobody needs any more, and reading everything that is in it.

`prune_runs` deletes runs, and artifacts that nothing refers to; `verify_artifacts` reads every record and every
artifact, and says what is damaged. ``execution-dataflow runs prune`` and ``artifacts verify`` are these two.
"""

from execution_dataflow.store_care.pruning import prune_runs
from execution_dataflow.store_care.reports import Finding, PruneReport, VerifyReport
from execution_dataflow.store_care.standing import is_held, standing_of
from execution_dataflow.store_care.verifying import verify_artifacts

__all__ = [
    "Finding",
    "PruneReport",
    "VerifyReport",
    "is_held",
    "prune_runs",
    "standing_of",
    "verify_artifacts",
]
