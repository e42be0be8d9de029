"""``run --checkpoint``, ``runs`` and ``artifacts``: a run that failed is looked at, gone on with, and deleted."""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from command_lines import CommandLine

from execution_dataflow import ExecutionContext, ExecutionEngine, GraphDefinition, Operation, OutputPort, operation
from execution_dataflow.stores.opening import open_store

STORE = "sqlite:///runs.db"

JOB = """
from pathlib import Path
from typing import Annotated

import numpy as np

from execution_dataflow import GraphDefinition, operation

def note(name: str) -> None:
    with open("executed.txt", "a") as file:
        file.write(f"{name}\\n")

@operation
def rows(count: int) -> np.ndarray:
    note("rows")
    return np.arange(count)

@operation
def total(rows: np.ndarray) -> int:
    note("total")
    if not Path("fixed").exists():
        raise ValueError("the table is not there yet")
    return int(rows.sum())

@operation(name="titles")
def named(titles: list) -> list:
    return titles

def build(count: int = 4, titles: list[str] = []) -> GraphDefinition:
    graph = GraphDefinition("job")
    graph.output("total", graph.add(total, rows=graph.add(rows, count=count)))
    graph.output("titles", graph.add(named, titles=titles))
    return graph

graph = build()
"""


@pytest.fixture
def job(command: CommandLine) -> CommandLine:
    command.write("job.py", JOB)
    return command


def executed(job: CommandLine) -> list[str]:
    path = job.folder / "executed.txt"
    return path.read_text().split() if path.exists() else []


def fail_once(job: CommandLine, *more: object, run_id: str = "nightly") -> None:
    ended = job("run", "job:build", "--count", 20_000, "--run-id", run_id, "--checkpoint", STORE, *more)
    assert ended.code == 1, ended.err
    assert "the table is not there yet" in ended.err


def document(job: CommandLine, *arguments: object) -> Any:
    ended = job(*arguments, "--json")
    assert ended.err == ""
    return json.loads(ended.out)


def test_a_run_that_failed_goes_on_with_what_it_was_started_with(job: CommandLine) -> None:
    fail_once(job, "--titles", "a", "--titles", "b", "--seed", 7)
    job.write("fixed", "")
    ended = job("runs", "resume", "nightly", "--store", STORE)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.splitlines() == ["total: 199990000", "titles: ['a', 'b']"]
    assert executed(job) == ["rows", "total", "total"]
    assert document(job, "runs", "resume", "nightly", "--store", STORE)["seed"] == 7
    assert executed(job) == ["rows", "total", "total"]


def test_a_failure_says_how_to_go_on(job: CommandLine) -> None:
    ended = job("run", "job:build", "--run-id", "my run", "--checkpoint", STORE)
    line = ended.err.splitlines()[-1]
    address = f"sqlite:///{job.folder / 'runs.db'}"
    assert line == f"go on with: execution-dataflow runs resume 'my run' --store {address}"
    assert "go on" not in job("run", "job:build", "--run-id", "my run", "--checkpoint", STORE, "--quiet").err


def test_running_again_with_the_same_name_goes_on_too(job: CommandLine) -> None:
    fail_once(job)
    job.write("fixed", "")
    arguments = ("run", "job:build", "--count", 20_000, "--run-id", "nightly", "--checkpoint", STORE)
    assert job(*arguments).code == 0
    assert executed(job) == ["rows", "total", "total"]


def test_a_run_goes_on_in_the_folder_where_it_was_started(
    job: CommandLine, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_once(job)
    job.write("fixed", "")
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    store = f"sqlite:///{job.folder / 'runs.db'}"
    ended = job("runs", "resume", "nightly", "--store", store)
    assert (ended.code, ended.out.splitlines()[0]) == (0, "total: 199990000")


def test_a_folder_that_is_gone_is_told(job: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_once(job)
    folder = job.folder.with_name("moved")
    os.rename(job.folder, folder)
    monkeypatch.chdir(folder)
    ended = job("runs", "resume", "nightly", "--store", STORE)
    assert ended.code == 2
    assert f"was started in {job.folder}, which cannot be entered" in ended.err
    assert "--here" in ended.err
    (folder / "fixed").write_text("")
    assert job("runs", "resume", "nightly", "--store", STORE, "--here").code == 0


def test_a_run_that_python_started_is_refused_with_advice(job: CommandLine) -> None:
    graph = GraphDefinition("etl")
    graph.add(lambda: 1)
    with ExecutionEngine(checkpoint=STORE) as engine:
        engine.run(graph, ExecutionContext(run_id="by hand"))
    ended = job("runs", "resume", "by hand", "--store", STORE)
    assert ended.code == 2
    assert "was started from Python" in ended.err
    assert "run_id='by hand'" in ended.err


def test_the_store_may_stand_in_the_environment(job: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_once(job)
    assert job("runs", "list").code == 2
    assert "EXECUTION_DATAFLOW_STORE" in job("runs", "list").err
    monkeypatch.setenv("EXECUTION_DATAFLOW_STORE", STORE)
    assert "nightly" in job("runs", "list").out


def test_runs_are_listed_the_one_that_changed_last_first(job: CommandLine) -> None:
    fail_once(job, run_id="first")
    fail_once(job, run_id="second")
    job.write("fixed", "")
    assert job("runs", "resume", "first", "--store", STORE).code == 0
    lines = job("runs", "list", "--store", STORE).out.splitlines()
    assert [line.split()[:4] for line in lines[2:]] == [
        ["first", "job", "succeeded", "3"],
        ["second", "job", "failed", "2"],
    ]
    assert [run["run_id"] for run in document(job, "runs", "list", "--store", STORE)] == ["first", "second"]
    failed = document(job, "runs", "list", "--store", STORE, "--state", "failed")
    assert [(run["run_id"], run["executions"], run["is_held"]) for run in failed] == [("second", 1, False)]
    assert document(job, "runs", "list", "--store", STORE, "--graph", "other") == []
    assert len(document(job, "runs", "list", "--store", STORE, "--limit", 1)) == 1


def test_a_run_is_shown_with_what_has_committed(job: CommandLine) -> None:
    fail_once(job)
    shown = job("runs", "show", "nightly", "--store", STORE)
    assert shown.code == 0
    assert "rows" in shown.out
    assert "failed" in shown.out
    assert "go on with: execution-dataflow runs resume nightly" in shown.out
    found = document(job, "runs", "show", "nightly", "--store", STORE)
    assert sorted(each["operation"] for each in found["operations"]) == ["rows", "titles"]
    assert (found["state"], found["commits"], found["can_resume"]) == ("FAILED", 2, True)


def test_what_is_noted_of_a_failure_or_a_revert_is_not_shown_as_an_operation(job: CommandLine) -> None:
    class Books(Operation):
        booked = OutputPort(int)

        def execute(self, context: ExecutionContext) -> None:
            self.booked = 1

        def revert(self, context: ExecutionContext) -> None: ...

    graph = GraphDefinition("journey")
    priced = graph.add(operation(lambda booked: 1 // 0, name="price", on_failure=-1), booked=graph.add(Books()))
    graph.add(operation(lambda price: 1 // 0, name="pay"), price=priced)
    with ExecutionEngine(checkpoint=job.folder / "runs.db") as engine:
        engine.run(graph, ExecutionContext("nightly"), on_failure="revert")
    shown = document(job, "runs", "show", "nightly", "--store", STORE)
    assert [each["operation"] for each in shown["operations"]] == ["price"]


def test_a_name_that_is_not_there_is_told_with_the_nearest(job: CommandLine) -> None:
    fail_once(job)
    for command in (("runs", "show"), ("runs", "resume"), ("artifacts", "verify")):
        ended = job(*command, "nightli", "--store", STORE)
        assert ended.code == 2
        assert "did you mean 'nightly'?" in ended.err


@pytest.mark.parametrize("words", [("runs", "list"), ("runs", "prune"), ("artifacts", "verify"), ("runs", "show", "x")])
def test_a_store_that_is_not_there_is_not_made(words: tuple[str, ...], job: CommandLine) -> None:
    ended = job(*words, "--store", "sqlite:///ruins.db")
    assert ended.code == 2
    assert "there is no store ruins.db" in ended.err
    assert not (job.folder / "ruins.db").exists()


def test_what_is_no_store_is_told(job: CommandLine) -> None:
    job.write("notes.txt", "not a database, but long enough to be looked at " * 20)
    for address, said in (("sqlitte:///x", "did you mean sqlite"), ("sqlite:///notes.txt", "notes.txt")):
        ended = job("runs", "list", "--store", address)
        assert (ended.code, ended.out) == (2, "")
        assert said in ended.err
        assert "Traceback" not in ended.err


def test_prune_deletes_what_is_asked_for(job: CommandLine) -> None:
    fail_once(job, run_id="old")
    fail_once(job, run_id="young")
    with closing(sqlite3.connect(job.folder / "runs.db")) as connection, connection:
        connection.execute("UPDATE runs SET updated_at = updated_at - 86400 * 31 WHERE run_id = 'old'")
    dry = job("runs", "prune", "--store", STORE, "--dry-run")
    assert dry.code == 0
    assert "would delete 1 run and 1 artifact" in dry.out
    assert len(document(job, "runs", "list", "--store", STORE)) == 2
    found = document(job, "runs", "prune", "--store", STORE)
    assert (found["runs"], found["held"], found["artifacts"]) == (["old"], [], 1)
    assert [run["run_id"] for run in document(job, "runs", "list", "--store", STORE)] == ["young"]
    assert document(job, "runs", "prune", "--store", STORE, "--state", "failed")["runs"] == ["young"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--older-than", "30"), "'30' is no age: expected a number and a unit, such as 30d"),
        (("--older-than", "3 fortnights"), "is no age"),
        (("--state", "done"), "there is no state 'done' of a run"),
    ],
)
def test_prune_refuses_what_it_does_not_understand(words: tuple[str, ...], said: str, job: CommandLine) -> None:
    fail_once(job)
    ended = job("runs", "prune", "--store", STORE, *words)
    assert ended.code == 2
    assert said in ended.err


def test_verify_finds_what_is_damaged_and_resuming_computes_it_anew(job: CommandLine) -> None:
    fail_once(job)
    assert job("artifacts", "verify", "--store", STORE).code == 0
    (artifact,) = [path for path in Path(job.folder, "runs.db.artifacts").rglob("*") if path.is_file()]
    artifact.chmod(0o600)
    artifact.write_bytes(artifact.read_bytes()[:-1])
    ended = job("artifacts", "verify", "--store", STORE)
    assert ended.code == 1
    assert "rows" in ended.out
    assert document(job, "artifacts", "verify", "nightly", "--store", STORE)["sound"] is False
    job.write("fixed", "")
    assert job("runs", "resume", "nightly", "--store", STORE).out.splitlines()[0] == "total: 199990000"
    assert executed(job) == ["rows", "total", "rows", "total"]
    assert job("artifacts", "verify", "--store", STORE).code == 0


def test_a_run_that_another_process_holds_is_not_run_twice(job: CommandLine) -> None:
    from execution_dataflow.stores.owners import new_owner

    fail_once(job)
    with open_store(f"sqlite:///{job.folder / 'runs.db'}") as store:
        lease = store.journal.acquire("nightly", "job", new_owner(), 60.0, {})
        ended = job("runs", "resume", "nightly", "--store", STORE)
        assert ended.code == 2
        assert "is held by" in ended.err
        assert document(job, "runs", "prune", "--store", STORE, "--keep", 0)["held"] == ["nightly"]
        store.journal.release(lease, "FAILED")


def test_a_secret_is_taken_from_the_environment_alone(job: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXECUTION_DATAFLOW_KEY", "secret")
    fail_once(job)
    assert job("artifacts", "verify", "--store", STORE).code == 0
    monkeypatch.setenv("EXECUTION_DATAFLOW_KEY", "another")
    assert {each["kind"] for each in document(job, "artifacts", "verify", "--store", STORE)["findings"]} == {
        "untrusted"
    }


def test_durability_without_a_checkpoint_is_a_mistake(job: CommandLine) -> None:
    ended = job("run", "job:build", "--durability", "each")
    assert ended.code == 2
    assert "--checkpoint" in ended.err


def test_the_tab_key_completes_runs_and_states(job: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_once(job)
    monkeypatch.setenv("_EXECUTION_DATAFLOW_COMPLETE", "complete_zsh")
    for words, expected in (
        (f"runs resume --store {STORE} nig", "nightly"),
        (f"artifacts verify --store {STORE} n", "nightly"),
        (f"runs prune --store {STORE} --state int", "interrupted"),
    ):
        monkeypatch.setenv("_TYPER_COMPLETE_ARGS", f"execution-dataflow {words}")
        assert expected in job().out
