"""Signals end the program cleaned up, with one line and the code that shells expect."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from command_lines import ENVIRONMENT, PROGRAM

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")

MODULE = """
import os
import time
from execution_dataflow import GraphDefinition, operation

def first():
    return 1

def wait(after):
    os.write(1, b"ready\\n")
    while True:
        time.sleep(0.01)

def stuck(after):
    os.write(1, b"ready\\n")
    time.sleep(60)

@operation(executor="process")
def apart(after):
    os.write(1, b"ready\\n")
    time.sleep(60)

def build(last):
    graph = GraphDefinition(last.__name__)
    graph.add(last, after=graph.add(first))
    return graph

waiting = build(wait)
graph = GraphDefinition("apart")
graph.add(apart, after=graph.add(first))
several = GraphDefinition("several")
one = several.add(first)
for _ in range(2):
    several.add(stuck, after=one)

def slow_to_build():
    os.write(1, b"ready\\n")
    time.sleep(60)
"""


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    (folder / "endless.py").write_text(MODULE, encoding="utf-8")
    process = subprocess.Popen(
        [*PROGRAM, *arguments],
        cwd=folder,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    # With --json standard output has the document alone.
    stream = process.stderr if "--json" in arguments else process.stdout
    assert stream is not None
    assert stream.readline() == "ready\n", process.communicate(timeout=10)
    return process


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    try:
        out, err = process.communicate(timeout=30)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    return process.returncode, out, err


def nothing_is_left(group: int) -> bool:
    for _ in range(100):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize(
    ("number", "graph", "code", "word"),
    [
        (signal.SIGINT, "endless:waiting", 130, "interrupted"),
        (signal.SIGTERM, "endless:waiting", 143, "terminated"),
        (signal.SIGINT, "endless:graph", 130, "interrupted"),
    ],
)
def test_a_signal_ends_a_run_with_one_line_and_its_code(
    tmp_path: Path, number: int, graph: str, code: int, word: str
) -> None:
    process = start(tmp_path, "run", graph, "--run-id", "night")
    process.send_signal(number)
    found, out, err = finish(process)
    name = "apart" if graph == "endless:graph" else "wait"
    assert (found, out, err) == (code, "", f"{word}: run 'night' of {name}, 1 of 2 operations were done\n")
    assert nothing_is_left(process.pid)


def test_an_interrupted_run_still_has_its_document(tmp_path: Path) -> None:
    process = start(tmp_path, "run", "endless:waiting", "--json")
    process.send_signal(signal.SIGINT)
    code, out, err = finish(process)
    document = json.loads(out)
    assert (code, document["state"], document["success"]) == (130, "CANCELLED", False)
    assert document["states"] == {"SUCCEEDED": 1, "CANCELLED": 1}
    assert err.startswith("interrupted: run")


def test_ctrl_c_while_a_graph_is_built_is_one_line_too(tmp_path: Path) -> None:
    process = start(tmp_path, "run", "endless:slow_to_build")
    process.send_signal(signal.SIGINT)
    assert finish(process) == (130, "", "interrupted\n")


def test_a_second_signal_ends_what_cannot_be_interrupted(tmp_path: Path) -> None:
    for _ in range(3):
        process = start(tmp_path, "run", "endless:several")
        process.send_signal(signal.SIGTERM)
        # Two keys pressed at once are one; the program says what it waits for.
        process.send_signal(signal.SIGTERM)
        time.sleep(1.2)
        if process.poll() is None:
            break
        finish(process)  # On a busy machine it may have come to the second one only a second later.
    assert process.poll() is None
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    code, _, err = finish(process)
    assert time.monotonic() - began < 5
    assert code == 143
    assert err == "terminated, without waiting for operations that still run\n"
    assert nothing_is_left(process.pid)


# What an import hook does, in the middle of importing the package.
INTERRUPTED = """
import os, signal, sys
sys.argv = [{name!r}, "--help"]
class Presses:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Presses())
try:
    from execution_dataflow.cli import main
    sys.exit(main())
except KeyboardInterrupt:
    sys.exit(7)
"""


@pytest.mark.parametrize(
    ("module", "name", "code", "said"),
    [
        ("execution_dataflow.graph", "/usr/bin/execution-dataflow", 130, "interrupted\n"),
        ("execution_dataflow.commands.mistakes", "execution-dataflow", 130, "interrupted\n"),
        ("typer", "execution-dataflow", 130, "interrupted\n"),
        ("execution_dataflow.graph", "my_program.py", 7, ""),
    ],
)
def test_interrupt_while_the_program_is_imported_is_one_word(module: str, name: str, code: int, said: str) -> None:
    program = INTERRUPTED.format(module=module, name=name)
    ended = subprocess.run(
        [PROGRAM[0], "-c", program], capture_output=True, text=True, timeout=60, env=ENVIRONMENT, check=False
    )
    assert (ended.returncode, ended.stderr, ended.stdout) == (code, said, "")
