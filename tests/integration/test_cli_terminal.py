"""A run as a person sees it in a terminal, and as the next program in a pipe does."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from pathlib import Path

import pytest
from command_lines import ENVIRONMENT, ETL, PROGRAM, run_process
from terminal_screen import Terminal

pytestmark = pytest.mark.skipif(os.name == "nt", reason="pseudo-terminals and signals of POSIX")

TALKATIVE = """
import sys, time
from execution_dataflow import ExecutionContext, GraphDefinition

kept = sys.stdout

def speak(context: ExecutionContext):
    for number in range(4):
        time.sleep(0.12)
        print(f"line {number}", "x" * 120)
        print(f"part of {number}", end=" ", file=sys.stderr)
        print(f"and the rest of {number}", file=sys.stderr)
        print(f"kept {number}", file=kept)
        context.logger.warning("logged %d", number)
        context.progress((number + 1) / 4, f"{number + 1} of 4")

def fail():
    raise ValueError("no luck")

def begin_a_line():
    print("without an end", end="")

def build(bad: bool = False):
    graph = GraphDefinition("talk")
    spoken = graph.add(speak)
    if bad:
        graph.add(fail)
        graph.add_dependency(spoken, graph.add(begin_a_line))
    return graph

def wait():
    print("waiting", flush=True)
    while True:
        time.sleep(0.01)

endless = GraphDefinition("endless")
endless.add(wait)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "talkative.py").write_text(TALKATIVE, encoding="utf-8")
    (tmp_path / "etl.py").write_text(ETL, encoding="utf-8")
    return tmp_path


def terminal(folder: Path, *arguments: str, **environment: str) -> Terminal:
    return Terminal([*PROGRAM, *arguments], folder, {**ENVIRONMENT, **environment})


def test_output_of_operations_stays_whole_above_the_display(folder: Path) -> None:
    shown = terminal(folder, "run", "talkative:build", "--bad", "--failure-policy", "continue")
    code, screen = shown.end()
    assert code == 1
    lines = screen.text
    for number in range(4):
        assert lines.count(f"line {number} {'x' * 120}") == 1
        assert lines.count(f"part of {number} and the rest of {number}") == 1
        assert lines.count(f"kept {number}") == 1
        assert sum(line.endswith(f"WARNING speak: logged {number}") for line in lines) == 1
    assert sum(line.startswith("without an end") for line in lines) == 1
    assert "fail failed: ValueError: no luck" in lines
    assert lines[-1].startswith("error: Operation 'fail' failed: ValueError: no luck")
    # Nothing is left of the display, which was there.
    assert not any("━" in line or "running" in line for line in lines)
    assert "/3 · 1 running" in shown.raw
    assert " of 4" in shown.raw
    assert screen.cursor_is_shown


def test_a_successful_run_ends_with_its_outputs_and_one_line(folder: Path) -> None:
    code, screen = terminal(folder, "run", "etl:graph").end()
    assert code == 0
    assert screen.text[0] == "sum: 6"
    assert screen.text[1].startswith("declared: 2 operations in ")


def test_a_terminal_without_colours_gets_none(folder: Path) -> None:
    shown = terminal(folder, "run", "etl:graph", "--quiet", NO_COLOR="1", TERM="dumb")
    code, screen = shown.end()
    assert (code, screen.text) == (0, ["sum: 6"])
    assert "\x1b" not in shown.raw


def test_ctrl_c_in_a_terminal_is_one_clean_line(folder: Path) -> None:
    shown = terminal(folder, "run", "talkative:endless")
    shown.wait_for("wait\x1b[2m 0:00")  # it has printed, and runs
    shown.press_ctrl_c()
    code, screen = shown.end()
    assert code == 130
    assert len(screen.text) == 2, screen.text
    assert screen.text[0] == "waiting"
    assert screen.text[1].startswith("interrupted: run '")
    assert screen.cursor_is_shown


def test_standard_output_goes_where_it_went_while_a_display_moves(folder: Path) -> None:
    command = " ".join([*PROGRAM, "run", "talkative:build"])
    code, screen = Terminal(["sh", "-c", f"{command} > out.txt"], folder, ENVIRONMENT).end()
    assert code == 0
    written = (folder / "out.txt").read_text().splitlines()
    assert [line.split()[0] for line in written] == ["line", "kept"] * 4 + ["result:"]
    assert not any(line.startswith("line") for line in screen.text)


def test_a_document_goes_to_its_file_and_the_rest_stays_whole_on_the_terminal(folder: Path) -> None:
    command = " ".join([*PROGRAM, "run", "talkative:build", "--json"])
    code, screen = Terminal(["sh", "-c", f"{command} > out.txt"], folder, ENVIRONMENT).end()
    assert code == 0
    assert json.loads((folder / "out.txt").read_text())["outputs"] == {"result": None}
    assert [line for line in screen.text if line.startswith(("line", "kept"))] == [
        text for number in range(4) for text in (f"line {number} {'x' * 120}", f"kept {number}")
    ]


def test_a_reader_that_goes_away_is_no_error(folder: Path) -> None:
    (folder / "long.py").write_text(
        "from execution_dataflow import GraphDefinition\ng = GraphDefinition('long')\ng.add(lambda: 'x' * 1_000_000)\n"
    )
    for command in ("run long:g", "--help"):
        read, write = os.pipe()
        process = subprocess.Popen([*PROGRAM, *command.split()], cwd=folder, env=ENVIRONMENT, stdout=write, stderr=-1)
        os.close(write)
        os.close(read)
        _, errors = process.communicate(timeout=60)
        assert (process.returncode, errors) in [(0, b""), (1, b"")], command
        if command.startswith("run long"):
            assert process.returncode == 0


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device of Linux")
@pytest.mark.parametrize(
    "words", ["run etl:graph", "run etl:graph --json", "draw etl:graph", "plan etl:graph", "run --help", "--version"]
)
def test_full_standard_output_is_told_in_a_line(folder: Path, words: str) -> None:
    with open("/dev/full", "w") as full:
        ended = subprocess.run(
            [*PROGRAM, *words.split()], cwd=folder, env=ENVIRONMENT, stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert (ended.returncode, ended.stderr) == (
        3,
        "error: standard output cannot be written: No space left on device\n",
    )


@pytest.mark.parametrize("words", ["run etl:graph", "run etl:graph --json", "draw etl:graph"])
def test_closed_standard_output_is_told_in_a_line(folder: Path, words: str) -> None:
    command = shlex.join([*PROGRAM, *words.split()])
    ended = subprocess.run(f"{command} >&-", shell=True, cwd=folder, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True)
    assert (ended.returncode, ended.stderr) == (3, "error: standard output cannot be written: it is closed\n")


def test_a_pipe_gets_one_document_without_escape_codes_and_without_what_workers_print(folder: Path) -> None:
    (folder / "apart-from-us.py").write_text(
        "from execution_dataflow import GraphDefinition, operation\n"
        "@operation(executor='process')\ndef work() -> int:\n    print('in a worker', flush=True)\n    return 7\n"
        "g = GraphDefinition('apart')\ng.add(work)\n"
    )
    ended = run_process("run", "apart-from-us.py:g", "--json", cwd=folder)
    assert json.loads(ended.out)["outputs"] == {"result": 7}
    assert ended.err == "in a worker\n"


def test_the_program_starts_quickly() -> None:
    """The whole package is loaded for ``--version``; what only some commands need is not."""
    probe = (
        "import sys; from execution_dataflow.cli import main; main(['--version']); "
        "print(sorted({'numpy', 'asyncio', 'polars', 'pandas', 'cloudpickle', 'multiprocessing', 'sqlite3', 'yaml'} "
        "& set(sys.modules)))"
    )
    done = subprocess.run([PROGRAM[0], "-c", probe], env=ENVIRONMENT, capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "[]", done.stderr
