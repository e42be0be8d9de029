"""A run that is killed at any moment and resumed ends as one that nobody has disturbed.

Processes are real and so is the signal. SOAK_SCALE=63 makes it a thousand moments: ``make soak-durability``.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_lines import HOME
from killing.child import SEED, Report, Task, digest, environment
from killing.graphs import GRAPHS
from killing.nursery import TESTS, Nursery
from killing.trial import Trial, Undisturbed, undisturbed

from execution_dataflow import ExecutionContext, ExecutionEngine
from execution_dataflow.persistent_state import edit_state

KILLS = 16

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="the nursery forks")


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder in memory where there is one: a killed process loses nothing of what no disk has, and fsync is free."""
    memory = Path("/dev/shm")
    inside = memory if os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > 2**28 else None
    with tempfile.TemporaryDirectory(dir=inside, prefix="killing-") as name:
        yield Path(name)


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    with Nursery(str(HOME)) as made:
        yield made


@pytest.fixture(scope="module")
def mixed(nursery: Nursery, folder: Path) -> Undisturbed:
    return undisturbed(nursery, folder, "mixed")


@needs_fork
def test_an_undisturbed_run_commits_every_operation_and_every_item(mixed: Undisturbed) -> None:
    items = {f"piece_{branch}[{item}]" for branch in "abc" for item in range(6)}
    assert mixed.keys >= {*GRAPHS["mixed"]().compile().names, *items}
    assert mixed.executed <= mixed.keys, "what is executed is committed under the same name"
    assert {name for name in mixed.executed if name.startswith(("nearer", "unfolded/"))}
    assert {"before a batch", "before an artifact", "before the end of a transaction"} <= set(mixed.report.points)
    assert mixed.report.restored == []


@needs_fork
@pytest.mark.soak
@pytest.mark.timeout(0)
@pytest.mark.parametrize("durability", ["batched", "each"])
def test_a_killed_run_ends_as_if_nothing_had_happened(
    durability: str, nursery: Nursery, folder: Path, mixed: Undisturbed, soak_scale: int
) -> None:
    chance = random.Random(os.environ.get("KILLING_SEED", f"{durability} {soak_scale}"))
    kills: Counter[str] = Counter()
    wanted = KILLS * soak_scale // 2
    number = 0
    while kills.total() < wanted:
        number += 1
        trial = Trial(nursery, folder / f"{durability}-{number}", "mixed", chance, durability=durability)
        trial.kill_until_it_ends(mixed)
        kills += trial.kills
        # What has failed stays, to be looked at.
        shutil.rmtree(trial.folder)
    print(f"{kills.total()} kills of {number} runs: {dict(kills)}")


@needs_fork
@pytest.mark.soak
@pytest.mark.timeout(0)
@pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="worker processes are found in /proc")
def test_a_run_whose_worker_processes_are_killed_ends_as_if_nothing_had_happened(
    nursery: Nursery, folder: Path, soak_scale: int
) -> None:
    chance = random.Random(os.environ.get("KILLING_SEED", f"workers {soak_scale}"))
    expected = undisturbed(nursery, folder / "far", "far_away", warm_up=False)
    kills: Counter[str] = Counter()
    for number in range(soak_scale):
        trial = Trial(nursery, folder / f"far-{number}", "far_away", chance)
        # First the process with its workers, which have to end by themselves; then workers alone.
        trial.kill_by_the_clock(expected.seconds)
        trial.judge_the_end(trial.kill_workers(2), expected)
        kills += trial.kills
        shutil.rmtree(trial.folder)
    print(f"{kills.total()} kills of {soak_scale} runs: {dict(kills)}")


def test_a_program_that_is_killed_goes_on_when_it_is_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a nursery: as a person would do it, on every system."""
    store = f"sqlite:///{tmp_path / 'runs.db'}"
    outputs = []
    # A batch that is refused, for a conflict of states, comes to no end: after one, something is durable.
    for execution, kind in enumerate([("after a batch", 1), (None, 0)], start=1):
        task = Task("mixed", store, "run", str(tmp_path), execution, point=kind[0], count=kind[1])
        task.temporary.mkdir(exist_ok=True)
        ended = subprocess.run(
            [sys.executable, "-m", "killing.child", task.to_text()],
            env={**os.environ, **environment(task), "PYTHONPATH": f"{HOME}{os.pathsep}{TESTS}"},
            cwd=TESTS,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert (ended.returncode == 0) == (kind[0] is None), ended.stderr
        outputs.append(task.report.exists())
    assert outputs == [False, True]
    report = Report.read(task.report)
    assert len(report.restored) > 0
    for name, value in environment(task).items():
        monkeypatch.setenv(name, value)
    with ExecutionEngine(max_workers=1, state=tmp_path / "other.db") as engine:
        result = engine.run(GRAPHS["mixed"](), ExecutionContext(seed=SEED))
    assert report.outputs == {name: digest(value) for name, value in sorted(result.values.items())}


# ---------------------------------------------------------------- the judge itself


@needs_fork
def test_the_judge_sees_what_has_gone_wrong(nursery: Nursery, folder: Path, mixed: Undisturbed) -> None:
    trial = Trial(nursery, folder / "judged", "mixed", random.Random(1))
    trial.judge_the_end(trial.run_to_its_end(), mixed)

    left = trial.folder / "temporary" / "left"
    left.write_bytes(b"")
    with pytest.raises(AssertionError, match="temporary files are left"):
        trial.judge_what_is_left()
    left.unlink()

    with edit_state(trial.address, "totals") as state:
        state.update("pieces", lambda number: number + 1)
    with pytest.raises(AssertionError, match="pieces"):
        trial.judge()
    with edit_state(trial.address, "totals") as state:
        state.update("pieces", lambda number: number - 1)
    trial.judge()

    task = trial.task()
    with open(task.effects, "a", encoding="utf-8") as file:
        file.write(f"limits_a {task.execution} 1\n")
    with pytest.raises(AssertionError, match=r"had committed and was executed again: .*limits_a"):
        trial.judge()

    with trial.store() as store:
        store.journal.delete_run(trial.run_id)
    with pytest.raises(AssertionError, match="committed and not there any more"):
        trial.judge()
