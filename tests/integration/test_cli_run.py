"""``execution-dataflow run``: which graph, with which parameters, and what comes out."""

from __future__ import annotations

import json
from typing import Any

import pytest
from command_lines import CommandLine


def shown(out: str) -> list[Any]:
    """What the function ``build`` of the module was called with, from what its graph prints."""
    (line,) = [line for line in out.splitlines() if line.startswith("lambda.result: ")]
    return eval(line.removeprefix("lambda.result: "), {"datetime": __import__("datetime")})


def test_outputs_go_to_standard_output_and_nothing_to_standard_error(command: CommandLine) -> None:
    ended = command("run", "etl:graph")
    assert (ended.code, ended.out, ended.err) == (0, "sum: 6\n", "")


def test_a_function_is_called_with_options_of_its_own(command: CommandLine) -> None:
    options = (
        "--count 3 --scale 0.5 --mode careful --speed safe --since 2026-11-23 --months 1 --months 2 --out a/b --fail"
    )
    ended = command("run", "etl:build", "--failure-policy", "continue", *options.split())
    assert ended.code == 1
    assert "total.result: 3" in ended.out.splitlines()
    import datetime

    assert shown(ended.out) == [3, 0.5, "careful", "safe", datetime.date(2026, 11, 23), [1, 2], "a/b", True, 0]


def test_pairs_do_the_same_as_options(command: CommandLine) -> None:
    pairs = ("count=3", "scale=2", "months=[1, 2]", "since=none", "fail=false", "workers=7")
    ended = command("run", "etl:build", *[word for pair in pairs for word in ("-p", pair)])
    assert ended.code == 0, ended.err
    assert shown(ended.out) == [3, 2.0, "quick", "fast", None, [1, 2], "x.csv", False, 7]


def test_an_option_of_the_command_is_not_taken_by_a_parameter_of_the_same_name(command: CommandLine) -> None:
    ended = command("run", "etl:build", "--count", 1, "--workers", 2)
    assert shown(ended.out)[-1] == 0


def test_declared_parameters_have_options_too(command: CommandLine) -> None:
    assert command("run", "etl:graph", "--count", 5).out == "sum: 10\n"
    assert command("run", "etl:plan", "-p", "count=5").out == "sum: 10\n"


def test_help_shows_the_parameters_of_the_graph(command: CommandLine) -> None:
    ended = command("run", "etl:build", "--help")
    assert ended.code == 0
    lines = ended.out.splitlines()
    assert any("--count" in line and "how many rows (required)" in line for line in lines)
    assert any("--mode" in line and "<quick|careful>" in line and "(default: quick)" in line for line in lines)
    assert any("--fail" in line and "--no-fail" in line for line in lines)
    assert "Parameters of etl:build" in ended.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["etl:build"], "etl:build needs the parameter 'count', an integer: give it as -p count=..."),
        (["etl:build", "-p", "cuont=3"], "has no parameter 'cuont'; did you mean 'count'?"),
        (["etl:build", "-p", "count"], "-p count: expected name=value"),
        (["etl:build", "--count", "3.0"], "parameter 'count' of etl:build: expected an integer, not '3.0'"),
        (
            ["etl:build", "--count", "3", "--mode", "quik"],
            "expected one of quick, careful, not 'quik'; did you mean 'quick'?",
        ),
        (["etl:graph", "--count", "x"], "parameter 'count' of etl:graph: expected an integer, not 'x'"),
        (["etl:bulid"], "etl has no 'bulid'; did you mean 'build'?"),
        (["elt:build"], "did you mean 'etl'?"),
        (["etl"], "names a module and no graph in it: write etl:"),
        (["etl:number"], "etl:number is of type int"),
        (["etl:total"], "etl:total is an operation and no graph"),
        (["etl:date"], "the parameters of etl:date cannot be found out"),
        (["nowhere/etl.py:graph"], "does not exist; a Python file was expected"),
        (["etl:invalid"], "invalid cannot run, 2 faults"),
        (["etl:graph", "--retain", "totl"], "no operation named 'totl'"),
        (["etl:graph", "--targets", "totl"], "no operation or output 'totl'; did you mean 'total'?"),
        (["etl:graph", "--deadline", "-1"], "deadline_seconds=-1.0 is not possible"),
        (["etl:graph", "--log-level", "loud"], "log_level 'loud' is no level"),
        (["etl:graph", "--workers", "0"], "--workers"),
        (["etl:graph", "--wrokers", "2"], "--workers"),
        (["--count", "3", "etl:build"], "Options for the parameters of a graph stand after the graph"),
        ([], "GRAPH"),
    ],
)
def test_mistakes_exit_with_2_and_say_what_was_expected(
    command: CommandLine, arguments: list[str], message: str
) -> None:
    ended = command("run", *arguments)
    assert ended.code == 2
    assert message in " ".join(ended.err.split())
    assert ended.out == ""
    assert "Traceback" not in ended.err or "raised" in message


def test_every_wrong_parameter_is_named_at_once(command: CommandLine) -> None:
    ended = command("run", "etl:build", "--scale", "much", "-p", "cuont=3")
    assert [line.partition(":")[0] for line in ended.err.splitlines()] == ["error"] * 3
    assert all(word in ended.err for word in ("'scale'", "'cuont'", "needs the parameter 'count'"))


def test_a_module_that_raises_is_shown_from_its_own_line(command: CommandLine) -> None:
    command.write("broken.py", "def f():\n    return {}['key']\nf()\n")
    ended = command("run", "broken:graph")
    assert ended.code == 2
    assert ended.err.splitlines()[-1] == "error: importing broken raised KeyError: 'key'"
    assert 'broken.py", line 3' in ended.err.splitlines()[1]
    assert "importlib" not in ended.err


def test_a_module_that_misses_another_one_says_which(command: CommandLine) -> None:
    command.write("needy.py", "import no_such_library\n")
    assert (
        "importing needy raised ModuleNotFoundError: No module named 'no_such_library'" in command("run", "needy:g").err
    )


def test_a_mistake_in_the_graph_is_told_with_its_place(command: CommandLine) -> None:
    command.write(
        "wrong.py",
        "from execution_dataflow import GraphDefinition\ndef build():\n    graph = GraphDefinition()\n"
        "    graph.add(sum, iterabel=[1])\n    return graph\n\ndef nothing():\n    pass\n",
    )
    ended = command("run", "wrong:build")
    assert (ended.code, "did you mean 'iterable'?" in ended.err, "wrong.py:4 in build" in ended.err) == (2, True, True)
    assert "returned None" in command("run", "wrong:nothing").err


@pytest.mark.parametrize("place", ["etl.py", "./etl.py", "jobs/night/etl.py", "my-etl.py", "package/etl.py", "json.py"])
def test_a_graph_is_named_by_the_path_of_its_file(command: CommandLine, place: str) -> None:
    text = (command.folder / "etl.py").read_text()
    if place == "package/etl.py":
        command.write("package/__init__.py", "")
        command.write("package/beside.py", "")
        text += "\nfrom . import beside\n"
    # Another graph than that of the module of the same name in the working directory.
    command.write(place, text.replace("default=4", "default=5"))
    ended = command("run", f"{place}:graph")
    assert (ended.code, ended.out) == (0, "sum: 10\n"), ended.err


def test_targets_run_a_part_and_retained_values_are_printed(command: CommandLine) -> None:
    assert command("run", "etl:graph", "--targets", "rows").out == "rows.result: [0, 1, 2, 3]\n"
    assert command("run", "etl:graph", "-t", "rows.result").out == "rows.result: [0, 1, 2, 3]\n"
    assert command("run", "etl:graph", "--retain", "rows").out == "sum: 6\nrows.result: [0, 1, 2, 3]\n"
    assert command("run", "etl:graph", "--retain", "all").out == "sum: 6\nrows.result: [0, 1, 2, 3]\n"


def test_a_failed_run_exits_with_1_and_says_why_on_standard_error(command: CommandLine) -> None:
    ended = command("run", "etl:build", "--count", 3, "--fail", "--executor", "inline")
    assert ended.code == 1
    (line,) = ended.err.splitlines()
    assert line.startswith("error: Operation 'boom' failed: ValueError: no luck with 3 rows (at ")
    told = command("run", "etl:build", "--count", 3, "--fail", "--verbose").err
    assert "Traceback (most recent call last)" in told
    assert told.startswith("[")


def test_json_is_one_document_whatever_is_printed(command: CommandLine) -> None:
    command.write(
        "talkative.py",
        "import os\nfrom execution_dataflow import GraphDefinition\nprint('imported')\n"
        "def speak() -> float:\n    print('speaking')\n    os.write(1, b'raw\\n')\n    return float('nan')\n"
        "def build():\n    print('building')\n    g = GraphDefinition('talk')\n    g.add(speak)\n    return g\n",
    )
    ended = command("run", "talkative:build", "--json", "--run-id", "tuesday", "--seed", 7)
    document = json.loads(ended.out)
    assert ended.code == 0
    assert (document["run_id"], document["seed"], document["graph"]) == ("tuesday", 7, "talk")
    assert (document["success"], document["state"], document["states"]) == (True, "SUCCEEDED", {"SUCCEEDED": 1})
    assert (document["outputs"], document["error"]) == ({"result": "NaN"}, None)
    assert document["timings"][0]["operation"] == "speak"
    assert all(word in ended.err for word in ("building", "speaking", "raw"))


def test_json_of_a_failed_run_has_the_error_and_what_succeeded(command: CommandLine) -> None:
    ended = command("run", "etl:build", "--count", 3, "--fail", "--json", "--failure-policy", "continue")
    document = json.loads(ended.out)
    assert (ended.code, document["success"], document["state"]) == (1, False, "FAILED")
    assert document["states"] == {"SUCCEEDED": 3, "FAILED": 1}
    assert document["error"]["operation"] == "boom"
    assert document["error"]["type"] == "ValueError"
    assert "no luck with 3 rows" in document["error"]["traceback"]
    assert document["outputs"]["total.result"] == 3
    assert len(document["failures"]) == 1


def test_a_deadline_cancels_the_run(command: CommandLine) -> None:
    command.write(
        "slow.py",
        "import time\nfrom execution_dataflow import ExecutionContext, GraphDefinition\n"
        "def wait(context: ExecutionContext):\n    while True:\n"
        "        time.sleep(0.01)\n        context.raise_if_cancelled()\n"
        "g = GraphDefinition('slow')\ng.add(wait)\n",
    )
    ended = command("run", "slow:g", "--deadline", 0.1)
    assert ended.code == 1
    assert "deadline" in ended.err


def test_a_valid_graph_is_said_to_be_so(command: CommandLine) -> None:
    ended = command("validate", "etl:graph")
    assert (ended.code, ended.out, ended.err) == (0, "declared is valid: 2 operations\n", "")
    assert command("validate", "etl:graph", "--quiet").out == ""


def test_validate_tells_every_fault_and_exits_with_2(command: CommandLine) -> None:
    ended = command("validate", "etl:invalid")
    assert (ended.code, ended.out) == (2, "")
    assert [line.partition(" (")[0] for line in ended.err.splitlines()] == [
        "error: the required input total.rows",
        "error: the required input boom.rows",
        "etl:invalid cannot run: 2 faults",
    ]


def test_bench_measures_the_engine_and_a_graph(command: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("execution_dataflow.commands.bench._OPERATIONS", 500)
    found = json.loads(command("bench", "--json").out)
    assert [(shape["shape"], shape["operations"]) for shape in found] == [("chain", 500), ("wide", 500)]
    assert all(shape["loop"] > 0 and shape["run"] > 0 for shape in found)
    assert "hand-written loop" in command("bench").out

    measured = json.loads(command("bench", "etl:graph", "--count", 10, "--json", "--workers", 1).out)
    assert (measured["graph"], measured["operations"], measured["workers"]) == ("declared", 2, 1)
    assert 0 < measured["operation_seconds"] <= measured["total_seconds"]
    assert measured["overhead_nanoseconds"] > 0
    assert {slow["operation"] for slow in measured["slowest"]} == {"rows", "total"}
    assert "operations at a time" in command("bench", "etl:graph").out
    assert command("bench", "etl:build", "--count", 1, "--fail").code == 1
    assert command("bench", "--workers", 1).code == 2


def test_plan_explains_and_refuses_what_cannot_run(command: CommandLine) -> None:
    ended = command("plan", "etl:graph", "--workers", 2)
    assert ended.code == 0
    assert "critical path: rows -> total" in ended.out
    assert json.loads(command("plan", "etl:graph", "--json").out)["critical_path"] == ["rows", "total"]
    refused = command("plan", "etl:invalid")
    assert (refused.code, refused.out) == (2, "")
    assert "invalid cannot run, 2 faults" in refused.err


def test_draw_writes_the_language_that_was_asked_for(command: CommandLine) -> None:
    assert command("draw", "etl:graph").out.startswith("flowchart TD\n")
    assert "flowchart LR" in command("draw", "etl:graph", "--direction", "LR").out
    assert command("draw", "etl:graph", "--format", "dot").out.startswith("digraph")
    for name, start in (
        ("g.svg", "<svg"),
        ("g.gv", "digraph"),
        ("g.md", "```mermaid\nflowchart"),
        ("g.txt", "flowchart"),
    ):
        ended = command("draw", "etl:graph", "--output", name)
        assert (ended.code, ended.out, ended.err) == (0, "", "")
        assert (command.folder / name).read_text(encoding="utf-8").startswith(start)
    assert "n0" in command("draw", "etl:invalid").out
    assert "cannot be written" in command("draw", "etl:graph", "-o", "nowhere/g.svg").err
    assert command("draw", "etl:graph", "-f", "png").code == 2


DEFINITION = """\
version: 1
name: from a file
parameters:
  count: {type: int, default: 4}
operations:
  rows: {operation: "etl:rows", inputs: {count: count}}
  total: {operation: "etl:total", inputs: {rows: rows}}
outputs: {sum: total}
"""


def test_a_definition_file_runs_with_what_is_allowed(command: CommandLine) -> None:
    (command.folder / "job.yaml").write_text(DEFINITION, encoding="utf-8")
    ended = command("run", "job.yaml", "--allow", "etl", "--count", 3)
    assert (ended.code, ended.out, ended.err) == (0, "sum: 3\n", "")
    assert command("validate", "job.yaml", "--allow=etl").code == 0
    refused = command("validate", "job.yaml")
    assert (refused.code, refused.out) == (2, "")
    assert "--allow MODULE lets a file name the operations" in refused.err
    (command.folder / "job.yaml").write_text(DEFINITION.replace("{rows: rows}", "{row: rows}"), encoding="utf-8")
    assert (
        "job.yaml:7:44: operations.total.inputs.row: there is no input 'row'"
        in command("validate", "job.yaml", "--allow=etl").err
    )
    assert command("run", "gone.yaml").code == 2
