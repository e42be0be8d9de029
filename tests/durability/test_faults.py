"""Disks that are full or read-only, damaged files, clocks that jump: a clear error or a recovery, and nothing lost."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from command_lines import HOME
from killing.disks import small_disk
from killing.nursery import TESTS
from killing.witness import executed, meanwhile

from execution_dataflow import ExecutionContext, ExecutionEngine, GraphDefinition, operation
from execution_dataflow.persistent_state import edit_state
from execution_dataflow.result import ExecutionResult
from execution_dataflow.store_errors import LeaseLostError, RunHeldError, StoreError, UntrustedArtifactError
from execution_dataflow.stores.opening import open_store
from execution_dataflow.stores.owners import new_owner
from execution_dataflow.stores.sql.journal import SqlJournal

needs_posix = pytest.mark.skipif(os.name != "posix", reason="limits and rights of POSIX")

STEPS = 12
SIZE = 3_000


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    yield
    executed.clear()
    meanwhile.clear()


@operation
def step(before: np.ndarray, number: int, context: ExecutionContext) -> np.ndarray:
    context.state.update("successes", lambda count: count + 1, default=0)
    import_module("killing.witness").saw(context.operation_name)
    return before * 3 + number


@operation
def summary(last: np.ndarray) -> dict[str, float]:
    import_module("killing.witness").saw("summary")
    return {"sum": float(last.sum()), "first": float(last[0])}


def graph() -> GraphDefinition:
    """A chain of arrays, each in an artifact of its own."""
    made = GraphDefinition("chain")
    before: object = np.arange(float(SIZE))
    for number in range(STEPS):
        before = made.add(step.new(name=f"step_{number}"), before=before, number=number)
    made.output("summary", made.add(summary, last=before))
    return made


def run(store: Path, **options: object) -> ExecutionResult:
    with ExecutionEngine(max_workers=1, checkpoint=store, **options) as engine:  # type: ignore[arg-type]
        return engine.run(graph(), ExecutionContext(run_id="run"))


def committed(store: Path) -> set[str]:
    with open_store(store) as opened:
        return {commit.key for commit in opened.journal.commits("run")}


EXPECTED = {"sum": 0.0, "first": 0.0}


@pytest.fixture(scope="module", autouse=True)
def expected() -> None:
    values = np.arange(float(SIZE))
    for number in range(STEPS):
        values = values * 3 + number
    EXPECTED.update(sum=float(values.sum()), first=float(values[0]))


def check_end(result: ExecutionResult, store: Path, before: set[str]) -> None:
    """The run has ended as ever, and what had committed was not run again."""
    assert result.values["summary"] == EXPECTED
    assert not before & set(executed), "it had committed"
    for number in range(STEPS):
        with edit_state(store, f"operation:chain/step_{number}") as state:
            assert state.get("successes") == 1, number


# ---------------------------------------------------------------- disks


@pytest.mark.parametrize("full_of", ["artifacts", "a file that grows"])
def test_a_full_disk_fails_the_run_and_loses_nothing(full_of: str, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "260k" if full_of == "artifacts" else "8m") as disk:
        store = disk.folder / "runs.db"
        if full_of != "artifacts":
            meanwhile["step_5"] = disk.fill
        result = run(store)
        assert not result.is_successful()
        message = result.get_error_message() or ""
        assert re.search("full|space", message), message
        executed.clear()
        meanwhile.clear()
        (disk.folder / "filler").unlink(missing_ok=True)
        disk.grow("16m")
        before = committed(store)
        assert before
        result = run(store)
        assert set(result.restored) == before
        check_end(result, store, before)


@needs_posix
def test_a_file_that_must_not_grow_fails_the_run_and_loses_nothing(tmp_path: Path) -> None:
    """As on a full disk, for those who must not mount one."""
    program = """
import resource, signal, sys
from pathlib import Path
from durability import test_faults as faults
from killing.witness import meanwhile
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = Path(sys.argv[1])
limit = int(sys.argv[2])
meanwhile["step_5"] = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
result = faults.run(store)
print(result.is_successful(), result.get_error_message())
"""
    store = tmp_path / "runs.db"
    ended = subprocess.run(
        [sys.executable, "-c", program, str(store), "8192"],
        env={**os.environ, "PYTHONPATH": f"{HOME}{os.pathsep}{TESTS}"},
        cwd=TESTS,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.stdout.startswith("False "), ended
    assert "too large" in ended.stdout or "full" in ended.stdout or "disk" in ended.stdout, ended.stdout
    before = committed(store)
    assert "step_4" in before
    check_end(run(store), store, before)


@needs_posix
def test_a_folder_that_is_read_only_is_told_before_anything_starts(tmp_path: Path) -> None:
    with read_only(tmp_path) as folder, pytest.raises(StoreError, match=r"runs\.db"):
        run(folder / "runs.db")
    assert executed == []


def test_a_store_that_is_read_only_is_told_before_anything_starts(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "8m") as disk:
        meanwhile["step_5"] = interrupt
        run(disk.folder / "runs.db")
        executed.clear()
        before = committed(disk.folder / "runs.db")
        disk.protect(True)
        with pytest.raises(StoreError, match=r"runs\.db"):
            run(disk.folder / "runs.db")
        assert executed == []
        disk.protect(False)
        meanwhile.clear()
        check_end(run(disk.folder / "runs.db"), disk.folder / "runs.db", before)


def interrupt() -> None:
    raise ValueError("stop here")


class read_only:
    """A folder in which nobody can make a file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "protected"

    def __enter__(self) -> Path:
        if os.geteuid() != 0:
            self.folder.mkdir()
            self.folder.chmod(0o500)
            return self.folder
        self._disk = small_disk(self.folder)
        self._disk.__enter__().protect(True)
        return self.folder

    def __exit__(self, *exception: object) -> None:
        if os.geteuid() != 0:
            self.folder.chmod(0o700)
        else:
            self._disk.__exit__(None, None, None)


def test_an_end_that_cannot_be_noted_is_told_and_the_run_is_free_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(SqlJournal, "release", refuse)
        result = run(tmp_path / "runs.db")
    assert result.is_successful()
    assert result.values["summary"] == EXPECTED
    (warning,) = result.warnings
    assert "the end of the run was not noted" in warning
    assert "no room" in warning
    executed.clear()
    assert run(tmp_path / "runs.db").values["summary"] == EXPECTED
    assert executed == []


def refuse(*_: object) -> None:
    raise StoreError("there is no room")


def test_a_run_that_is_refused_for_what_it_would_read_is_free_for_the_next(tmp_path: Path) -> None:
    store = tmp_path / "runs.db"
    meanwhile["step_9"] = interrupt
    with open_store(store, key=b"secret") as signed, ExecutionEngine(max_workers=1, checkpoint=signed) as engine:
        engine.run(graph(), ExecutionContext(run_id="run"))
    with open_store(store, key=b"another") as other, ExecutionEngine(max_workers=1, checkpoint=other) as engine:
        executed.clear()
        with pytest.raises(UntrustedArtifactError, match="signed with another key"):
            engine.run(graph(), ExecutionContext(run_id="run"))
    assert executed == []
    meanwhile.clear()
    with open_store(store, key=b"secret") as signed, ExecutionEngine(max_workers=1, checkpoint=signed) as engine:
        assert engine.run(graph(), ExecutionContext(run_id="run")).values["summary"] == EXPECTED


# ---------------------------------------------------------------- damage


@pytest.fixture(scope="module")
def half(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a run that failed after nine of its thirteen operations."""
    folder = tmp_path_factory.mktemp("half")
    meanwhile["step_9"] = interrupt
    assert not run(folder / "runs.db").is_successful()
    meanwhile.clear()
    executed.clear()
    return folder


@pytest.fixture
def copied(half: Path, tmp_path: Path) -> Path:
    shutil.copytree(half, tmp_path / "copy")
    return tmp_path / "copy" / "runs.db"


@pytest.mark.parametrize("damage", ["truncated", "emptied", "bit", "gone"])
def test_a_damaged_artifact_is_computed_anew_and_reported(damage: str, copied: Path) -> None:
    with open_store(copied) as store:
        (name,) = next(commit for commit in store.journal.commits("run") if commit.key == "step_8").artifacts
    (path,) = Path(f"{copied}.artifacts").rglob(Path(name).name)
    data = path.read_bytes()
    path.unlink()
    if damage != "gone":
        spoilt = {"truncated": data[:-100], "emptied": b"", "bit": data[:200] + bytes([data[200] ^ 4]) + data[201:]}
        path.write_bytes(spoilt[damage])
    result = run(copied)
    assert result.values["summary"] == EXPECTED
    assert executed == ["step_8", "step_9", "step_10", "step_11", "summary"]
    reasons = result.explain_resume().reasons
    assert re.search("damaged|no artifact", reasons["step_8"]), reasons


def test_any_damaged_page_of_the_database_is_an_error_or_costs_its_own_operations(half: Path, tmp_path: Path) -> None:
    pages = (half / "runs.db").stat().st_size // 4096
    assert pages > 5
    recovered = 0
    messages: list[str] = []
    for page in range(pages):
        folder = tmp_path / str(page)
        shutil.copytree(half, folder)
        with open(folder / "runs.db", "r+b") as file:
            file.seek(page * 4096)
            file.write(b"\xa5" * 4096)
        executed.clear()
        try:
            result = run(folder / "runs.db")
        except StoreError as error:
            messages.append(str(error))
            continue
        finally:
            shutil.rmtree(folder)
        if result.is_successful():
            assert result.values["summary"] == EXPECTED
            recovered += 1
        else:
            messages.append(result.get_error_message() or "")
    assert recovered
    assert messages
    assert not [message for message in messages if not re.search("damaged|malformed|corrupt|no store", message)]


def shift(store: Path, seconds: float) -> None:
    """Move what the journal has noted, as if the clock had been moved the other way."""
    moved = "UPDATE runs SET lease_ends = lease_ends + :by, updated_at = updated_at + :by"
    with closing(sqlite3.connect(store)) as connection, connection:
        connection.execute(moved, {"by": seconds})


def test_a_file_of_the_log_that_is_torn_loses_no_more_than_its_last_transaction(tmp_path: Path) -> None:
    """As a loss of power in the middle of a write leaves it."""
    live = tmp_path / "live"
    torn = tmp_path / "torn"
    live.mkdir()

    def copy() -> None:
        time.sleep(0.2)
        shutil.copytree(live, torn)

    meanwhile["step_9"] = copy
    assert run(live / "runs.db").is_successful()
    meanwhile.clear()
    executed.clear()
    log = torn / "runs.db-wal"
    with open(log, "r+b") as file:
        file.truncate(log.stat().st_size - 100)
    # The process that has the copy is this one, which is alive.
    shift(torn / "runs.db", -60)
    before = committed(torn / "runs.db")
    assert before >= {f"step_{number}" for number in range(7)}
    check_end(run(torn / "runs.db"), torn / "runs.db", before)


# ---------------------------------------------------------------- clocks


def test_a_clock_that_jumps_ahead_lets_another_process_in_and_keeps_this_one_out(copied: Path) -> None:
    """The lease seems to have ended: who comes takes the run over, and who had it is told. Nothing commits twice."""
    seen: list[ExecutionResult] = []

    def jump() -> None:
        meanwhile.clear()
        shift(copied, -3600)
        seen.append(run(copied))

    meanwhile["step_10"] = jump
    result = run(copied)
    assert not result.is_successful()
    assert isinstance(result.first_error.exception if result.first_error else None, LeaseLostError), result
    assert seen[0].values["summary"] == EXPECTED
    with edit_state(copied, "operation:chain/step_10") as state:
        assert state.get("successes") == 1
    executed.clear()
    assert run(copied).values["summary"] == EXPECTED
    assert executed == []


def test_a_clock_that_jumps_back_keeps_a_run_for_no_longer_than_its_lease(copied: Path) -> None:
    with open_store(copied) as store:
        store.journal.acquire("run", "chain", replace(new_owner(), host="elsewhere"), 1.0, {})
        shift(copied, 1e6)
        with pytest.raises(RunHeldError) as held:
            run(copied)
        assert held.value.expires_in_seconds <= 1.0
    time.sleep(1.1)
    before = committed(copied)
    check_end(run(copied), copied, before)
