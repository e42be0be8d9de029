"""A run that is killed again and again until it ends, and the judgement of what is left after each kill."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from patience import eventually

from execution_dataflow.persistent_state import edit_state
from execution_dataflow.store_care import prune_runs, verify_artifacts
from execution_dataflow.stores.opening import Store, open_store
from killing.child import Report, Task
from killing.graphs import TOTALS, executions_in, expected_totals
from killing.nursery import Nursery, Process

__all__ = ["Trial", "Undisturbed", "undisturbed"]

# After so many kills a run may end in peace: one that is killed before its first commit each time would never.
MOST_KILLS = 8


@dataclass(frozen=True)
class Undisturbed:
    """What an execution comes to that nobody kills.

    Attributes
    ----------
    report : Report
        What came of it.
    seconds : float
        How long the process took.
    keys, executed : frozenset of str
        What has committed, and what was executed.
    """

    report: Report
    seconds: float
    keys: frozenset[str]
    executed: frozenset[str]


@dataclass
class Trial:
    """One run, from its beginning to its end.

    Parameters
    ----------
    nursery : Nursery
        Starts its processes.
    folder : Path
        Its own; empty.
    graph : str
        Which graph.
    chance : random.Random
        Decides when to kill.
    address : str, optional
        Its store; a SQLite file in the folder by default.
    durability : str
        As for an engine.
    """

    nursery: Nursery
    folder: Path
    graph: str
    chance: random.Random
    address: str = ""
    durability: str = "batched"
    run_id: str = "run"
    kills: Counter[str] = field(default_factory=Counter)
    executions: int = 0
    # What had committed before each execution.
    _before: dict[int, frozenset[str]] = field(default_factory=dict)
    _committed: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.address = self.address or f"sqlite:///{self.folder / 'runs.db'}"

    # ------------------------------------------------------------ executions

    def task(self, point: str | None = None, count: int = 0) -> Task:
        """Return what the next process is to do."""
        self.executions += 1
        self._before[self.executions] = self._committed
        task = Task(
            self.graph,
            self.address,
            self.run_id,
            str(self.folder),
            self.executions,
            self.durability,
            point=point,
            count=count,
        )
        task.temporary.mkdir(exist_ok=True)
        return task

    def run_to_its_end(self, told: Callable[[Process], object] | None = None) -> Report:
        """Execute without killing the process; something else may be done to it meanwhile."""
        task = self.task()
        process = self.nursery.start(task)
        if told is not None:
            told(process)
        code = process.wait()
        self.judge()
        assert code == 0, f"execution {task.execution} of {self.folder} ended with {code}:\n{self.output(task)}"
        return self.report_of(task)

    def kill_at(self, kind: str, act: Callable[[Process], object], point: str | None = None, count: int = 0) -> bool:
        """Execute, and do something that may kill the process; return whether it did."""
        task = self.task(point, count)
        process = self.nursery.start(task)
        act(process)
        code = process.wait()
        self.judge()
        if code == -signal.SIGKILL:
            self.kills[kind] += 1
            return True
        assert code == 0, f"execution {task.execution} of {self.folder} ended with {code}:\n{self.output(task)}"
        return False

    def output(self, task: Task) -> str:
        """Return what a process has printed, and why its run failed."""
        printed = Path(task.folder, f"output-{task.execution}.txt").read_text(encoding="utf-8", errors="replace")
        return printed + (self.report_of(task).error if task.report.exists() else "")

    def report_of(self, task: Task) -> Report:
        """Return what came of an execution."""
        return Report.read(task.report)

    # ------------------------------------------------------------ kills

    def kill_by_the_clock(self, whole: float) -> bool:
        """Kill the process at a random moment of its life."""

        def act(process: Process) -> None:
            time.sleep(self.chance.uniform(0.0, whole))
            kill(process.pid)

        return self.kill_at("by the clock", act)

    def kill_at_a_point(self, points: dict[str, int]) -> bool:
        """Have the process die at a random one of the points of its work."""
        point = self.chance.choice(sorted(points))
        # Early ones more often: an execution that goes on from another one has less to do.
        count = 1 + int(points[point] * self.chance.random() ** 2)
        return self.kill_at(point, lambda _: True, point, count)

    def kill_workers(self, times: int) -> Report:
        """Kill worker processes at random moments, so many of them, while the run goes on to its end."""

        def act(process: Process) -> None:
            killed = 0
            while killed < times and is_there(process.pid):
                time.sleep(self.chance.uniform(0.0, 0.1))
                workers = children_of(process.pid)
                if workers and kill(self.chance.choice(workers)):
                    killed += 1
            self.kills["a worker process"] += killed

        return self.run_to_its_end(act)

    def kill_until_it_ends(self, expected: Undisturbed) -> None:
        """Kill executions until one gets to its end, and judge that."""
        for _ in range(MOST_KILLS):
            by_the_clock = self.chance.random() < 0.5
            if not (
                self.kill_by_the_clock(expected.seconds)
                if by_the_clock
                else self.kill_at_a_point(expected.report.points)
            ):
                break
        self.judge_the_end(self.run_to_its_end(), expected)

    # ------------------------------------------------------------ judgement

    def store(self) -> Store:
        """Open the store of the trial."""
        return open_store(self.address)

    def judge(self) -> None:
        """Compare what is in the journal with what was executed: at any time, after whatever has happened."""
        with self.store() as store:
            committed = frozenset(commit.key for commit in store.journal.commits(self.run_id))
        with edit_state(self.address, TOTALS) as state:
            totals = {key: state.get(key) for key in state.keys()}  # noqa: SIM118 - a namespace is no dict
        lost = self._committed - committed
        assert not lost, f"{self.folder}: committed and not there any more: {sorted(lost)}"
        again = [
            f"{name} in execution {execution}"
            for name, execution in executions_in(str(self.folder / "effects.txt"))
            if name in self._before[execution]
        ]
        assert not again, f"{self.folder}: had committed and was executed again: {again}"
        # State is committed with the outputs, or not at all.
        counted = {
            "tallies": sum(key.startswith("tally_") for key in committed),
            "pieces": sum(key.startswith("piece_") and key.endswith("]") for key in committed),
        }
        for name in expected_totals(self.graph):
            assert totals.get(name, 0) == counted[name], f"{self.folder}: {name}: {totals}, {counted}"
        self._committed = committed

    def judge_the_end(self, report: Report, expected: Undisturbed) -> None:
        """Compare a run that has ended with one that nobody has disturbed."""
        assert report.outputs == expected.report.outputs
        assert self._committed == expected.keys
        with edit_state(self.address, TOTALS) as state:
            totals = {key: state.get(key) for key in state.keys()}  # noqa: SIM118 - a namespace is no dict
        assert totals == expected_totals(self.graph)
        for name in sorted(self._committed):
            if name.startswith("tally_"):
                with edit_state(self.address, f"operation:{self.graph}/{name}") as state:
                    assert state.get("successes") == 1, name
        # A further execution has nothing to do.
        lines = len(executions_in(str(self.folder / "effects.txt")))
        again = self.run_to_its_end()
        assert again.outputs == expected.report.outputs
        assert set(again.states.values()) == {"RESTORED"}
        assert len(executions_in(str(self.folder / "effects.txt"))) == lines
        self.judge_the_store()
        self.judge_what_is_left()

    def judge_the_store(self) -> None:
        """Read everything; what killed processes have left is found and deleted, and nothing else."""
        from datetime import timedelta

        with self.store() as store:
            report = verify_artifacts(store)
            assert report.is_sound, report.findings
            pruned = prune_runs(store, grace=timedelta())
            assert (pruned.runs, pruned.artifacts) == ((), report.unreferenced)
            after = verify_artifacts(store)
            assert (after.is_sound, after.unreferenced) == (True, 0)
            assert (after.records, after.artifacts) == (report.records, report.artifacts)

    def judge_what_is_left(self) -> None:
        """Nothing is left of processes that were killed: no other process, no temporary file."""
        assert eventually(lambda: not list(processes_of(self.folder))), "a worker process is left"
        left = sorted(str(path.relative_to(self.folder)) for path in (self.folder / "temporary").rglob("*"))
        assert not left, f"temporary files are left: {left}"
        known = ("runs.db", "effects.txt", "report-", "output-", "temporary")
        others = [path.name for path in self.folder.iterdir() if not path.name.startswith(known)]
        assert not others, others
        assert not [path.name for path in self.folder.glob("runs.db-*")], "files of an open database are left"


def undisturbed(
    nursery: Nursery, folder: Path, graph: str, address: str = "", *, durability: str = "batched", warm_up: bool = True
) -> Undisturbed:
    """Execute a graph that nobody kills: twice, since the first pays for what a machine does once."""
    for number in range(1 + warm_up):
        trial = Trial(nursery, folder / f"undisturbed-{number}", graph, random.Random(0), address, durability)
        trial.run_id = f"undisturbed-{number}"
        began = time.monotonic()
        report = trial.run_to_its_end()
        seconds = time.monotonic() - began
        nursery.learn(report.modules)
    with trial.store() as store:
        keys = frozenset(commit.key for commit in store.journal.commits(trial.run_id))
    executed = frozenset(name for name, _ in executions_in(str(trial.folder / "effects.txt")))
    return Undisturbed(report, seconds, keys, executed)


def kill(pid: int) -> bool:
    """Kill a process; ``False`` if it is not there any more."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def is_there(pid: int) -> bool:
    """Whether a process runs."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def children_of(pid: int) -> list[int]:
    """Return the child processes of a process."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += [int(word) for word in task.read_text(encoding="ascii").split()]
        except OSError:
            pass
    return found


def processes_of(folder: Path) -> Iterator[int]:
    """Yield the worker processes that were started for a trial."""
    wanted = f"TMPDIR={folder / 'temporary'}".encode()
    for place in Path("/proc").glob("[0-9]*/environ"):
        try:
            if wanted in place.read_bytes().split(b"\0"):
                yield int(place.parent.name)
        except OSError:
            pass
