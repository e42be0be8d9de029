"""What several commands let a person choose about a store, as options, and the store that they name."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from execution_dataflow.commands.mistakes import Mistake, refuse, suggestion
from execution_dataflow.error_record import exception_text
from execution_dataflow.errors import DataflowError, MissingExtraError
from execution_dataflow.store_errors import StoreError
from execution_dataflow.stores.journal import RunSummary
from execution_dataflow.stores.opening import Store, open_store

__all__ = [
    "KEY_VARIABLE",
    "STORE_VARIABLE",
    "ArtifactsOption",
    "RunArgument",
    "StoreOption",
    "TrustPicklesOption",
    "chosen_store",
    "complete_run",
    "found_run",
    "store_failures",
]

STORE_VARIABLE = "EXECUTION_DATAFLOW_STORE"
ARTIFACTS_VARIABLE = "EXECUTION_DATAFLOW_ARTIFACTS"
# Of a secret, the environment is the only place: a command line is seen by all users of a machine.
KEY_VARIABLE = "EXECUTION_DATAFLOW_KEY"

StoreOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--store",
        "-s",
        metavar="ADDRESS",
        envvar=STORE_VARIABLE,
        show_envvar=True,
        help="Where runs are kept: sqlite:///runs.db, a path, postgresql://..., redis://...",
    ),
]
ArtifactsOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--artifacts",
        metavar="ADDRESS",
        envvar=ARTIFACTS_VARIABLE,
        show_envvar=True,
        help="Where large values are kept, if not beside the runs: a folder, s3://..., gs://..., az://...",
    ),
]
TrustPicklesOption: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--trust-pickles",
        help="Read pickles from a store that others write to, though no key has signed them. They run code.",
    ),
]


@contextmanager
def chosen_store(
    address: str | None, artifacts: str | None, trust_pickles: bool = False, *, must_exist: bool = True
) -> Iterator[Store]:
    """Open the store that a command was given, and close it at the end.

    Parameters
    ----------
    address, artifacts : str or None
        What was written for ``--store`` and ``--artifacts``, or stands in the environment.
    trust_pickles : bool
        As for `open_store`.
    must_exist : bool
        Whether a file that is not there is a mistake, and not a store that is to be created.

    Yields
    ------
    Store
        The store.

    Raises
    ------
    Mistake
        None was named, there is none, or it cannot be opened.
    """
    if not address:
        refuse(f"no store was named: write --store sqlite:///runs.db, or set {STORE_VARIABLE}")
    # A path is as good as an address.
    named: str | Path = address if "://" in address else Path(address)
    file = _file_of(named)
    if must_exist and file is not None and not file.exists():
        beside = f" in {Path.cwd()}" if not file.is_absolute() else ""
        refuse(f"there is no store {file}{beside}; `execution-dataflow run GRAPH --checkpoint {address}` makes one")
    key = os.environ.get(KEY_VARIABLE)
    try:
        store = open_store(
            named, artifacts=artifacts or None, key=key.encode() if key else None, trust_pickles=trust_pickles
        )
    except MissingExtraError:
        raise
    except (DataflowError, TypeError, ValueError) as error:
        raise Mistake(f"the store {address}: {error}") from None
    with store:
        yield store


def _file_of(address: str | Path) -> Path | None:
    """The file of a store that is one; ``None`` for a server, or for one in memory."""
    if isinstance(address, Path):
        return address
    scheme, _, rest = address.partition("://")
    path = rest.partition("?")[0].removeprefix("/")
    return Path(path) if scheme.partition("+")[0].lower() == "sqlite" and path not in ("", ":memory:") else None


def found_run(store: Store, run_id: str) -> RunSummary:
    """Return what a store knows of a run.

    Raises
    ------
    Mistake
        There is no such run; the nearest name is told.
    """
    summary = store.journal.find_run(run_id)
    if summary is None:
        known = [each.run_id for each in islice(store.journal.runs(), 1000)]
        raise Mistake(f"{store.address} has no run {run_id!r}{suggestion(run_id, known, 'runs')}")
    return summary


@contextmanager
def store_failures(store: Store) -> Iterator[None]:
    """Say what failed of a store in one line, and that it was this store."""
    try:
        yield
    except StoreError as error:
        cause = f" ({exception_text(error.__cause__)})" if error.__cause__ is not None else ""
        raise Mistake(f"the store {store.address}: {error}{cause}") from None


def complete_run(ctx: typer.Context, incomplete: str) -> list[str]:
    """Complete the name of a run of the store that the command line or the environment names."""
    address = ctx.params.get("store") or os.environ.get(STORE_VARIABLE)
    try:
        with chosen_store(address, ctx.params.get("artifacts") or os.environ.get(ARTIFACTS_VARIABLE)) as store:
            return [run.run_id for run in store.journal.runs() if run.run_id.startswith(incomplete)]
    except (Mistake, DataflowError, OSError):
        return []


RunArgument: TypeAlias = Annotated[
    str, typer.Argument(metavar="RUN", help="The run_id of a run.", autocompletion=complete_run, show_default=False)
]
