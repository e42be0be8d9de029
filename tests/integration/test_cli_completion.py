"""What the shells are told when the tab key is pressed."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from command_lines import ENVIRONMENT, ETL, PROGRAM, CommandLine, Ended

COMPLETE = "_EXECUTION_DATAFLOW_COMPLETE"


class Tab:
    """Presses the tab key behind a command line, in this process."""

    def __init__(self, command: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
        self._command = command
        self._monkeypatch = monkeypatch

    def fish(self, line: str) -> list[str]:
        asked = self._ask("fish", _TYPER_COMPLETE_ARGS=line, _TYPER_COMPLETE_FISH_ACTION="get-args")
        return [text for text in asked.out.splitlines() if text]

    def zsh(self, line: str) -> str:
        return self._ask("zsh", _TYPER_COMPLETE_ARGS=line).out

    def bash(self, *words: str) -> list[str]:
        """Ask as bash does, which has taken the line apart; the last word is the one to complete."""
        asked = self._ask("bash", COMP_WORDS=" ".join(words), COMP_CWORD=str(len(words) - 1))
        return asked.out.splitlines()

    def _ask(self, shell: str, **environment: str) -> Ended:
        for name, value in {**environment, COMPLETE: f"complete_{shell}"}.items():
            self._monkeypatch.setenv(name, value)
        ended = self._command()
        assert ended.err == ""
        return ended


@pytest.fixture
def tab(command: CommandLine, monkeypatch: pytest.MonkeyPatch) -> Tab:
    command.write("noisy.py", "print('imported')\n" + ETL)
    command.write("broken.py", "raise OSError\n")
    command.write("jobs/night.py", ETL)
    return Tab(command, monkeypatch)


def names(completions: list[str]) -> list[str]:
    """Without the help texts, which fish shows beside them."""
    return [line.partition("\t")[0] for line in completions]


def test_commands_are_completed(tab: Tab) -> None:
    assert {"run", "validate", "plan", "draw", "demo", "bench"} <= set(names(tab.fish("execution-dataflow ")))
    assert tab.bash("execution-dataflow", "va") == ["validate"]


def test_graphs_are_completed_by_module_and_by_file(tab: Tab) -> None:
    assert tab.fish("execution-dataflow run ") == ["broken:", "etl:", "jobs/", "noisy:"]
    assert tab.fish("execution-dataflow run etl:b") == ["etl:build"]
    assert tab.fish("execution-dataflow run ./jobs/") == [
        "./jobs/night.py:build", "./jobs/night.py:graph", "./jobs/night.py:plan", "./jobs/night.py:invalid",
    ]  # fmt: skip
    assert tab.fish("execution-dataflow run broken:") == []
    assert r"etl\\:build" in tab.zsh("execution-dataflow run etl:b")


def test_options_of_the_graph_are_completed_with_what_they_take(tab: Tab) -> None:
    assert names(tab.fish("execution-dataflow run etl:build --mo")) == ["--mode", "--months"]
    assert tab.fish("execution-dataflow run etl:build --mode ") == ["quick", "careful"]
    assert tab.fish("execution-dataflow run etl:build -p s") == ["scale=", "speed=", "since="]
    assert tab.fish("execution-dataflow run etl:build -p speed=") == ["speed=fast", "speed=safe"]
    assert tab.fish("execution-dataflow run etl:graph -p ") == ["count="]
    assert names(tab.fish("execution-dataflow validate etl:build --cou")) == ["--count"]
    assert "--workers" in names(tab.fish("execution-dataflow run no_such_module:build --w"))


def test_what_a_module_prints_is_no_completion(tab: Tab) -> None:
    assert tab.fish("execution-dataflow run noisy:build --mode ") == ["quick", "careful"]
    assert tab.fish("execution-dataflow run noisy:b") == ["noisy:build"]


def test_bash_gets_the_part_of_a_word_that_it_replaces(tab: Tab) -> None:
    ed = "execution-dataflow"
    assert tab.bash(ed, "run", "etl", ":", "b") == ["build"]
    assert tab.bash(ed, "run", "etl", ":") == ["build", "graph", "plan", "invalid"]
    assert tab.bash(ed, "run", "etl", ":", "build", "--mode", "=", "q") == ["quick"]
    assert tab.bash(ed, "run", "etl", ":", "build", "-p", "speed", "=") == ["fast", "safe"]


@pytest.mark.skipif(os.name == "nt" or shutil.which("bash") is None, reason="needs bash")
def test_a_real_bash_completes_with_the_script_that_the_program_shows(tmp_path: Path) -> None:
    (tmp_path / "etl.py").write_text(ETL, encoding="utf-8")
    program = tmp_path / "execution-dataflow"
    program.write_text(f'#!/bin/sh\nexec {PROGRAM[0]} -m execution_dataflow "$@"\n')
    program.chmod(0o755)
    script = f"""
        source <({COMPLETE}=source_bash execution-dataflow)
        COMP_WORDS=(execution-dataflow run etl : build --mode ca)
        COMP_CWORD=6
        _execution_dataflow_completion execution-dataflow
        echo "${{COMPREPLY[*]}}"
    """
    path = f"{tmp_path}{os.pathsep}{ENVIRONMENT['PATH']}"
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path,
        env={**ENVIRONMENT, "PATH": path},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.stdout, done.stderr) == ("careful\n", "")
