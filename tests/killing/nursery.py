"""A process that has imported everything and forks one child after the other, each of which runs a graph and may die.

It saves a second for each execution, which is what importing takes. It reads a task from each line of its standard
input, and answers with the process id of the child, and, when that has ended, with how.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import traceback
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import IO, Self

from killing.child import Task, execute

__all__ = ["Nursery", "Process"]

TESTS = Path(__file__).resolve().parent.parent


class Process:
    """A child that runs, or has ended."""

    def __init__(self, nursery: Nursery, pid: int) -> None:
        self.pid = pid
        self._nursery = nursery

    def wait(self) -> int:
        """Return the exit code, the number of the signal as a negative one if there was one."""
        return os.waitstatus_to_exitcode(int(self._nursery.answer("ended")))


class Nursery:
    """Starts children, one at a time."""

    def __init__(self, python_path: str) -> None:
        environment = {**os.environ, "PYTHONPATH": f"{python_path}{os.pathsep}{TESTS}"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "killing.nursery"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=TESTS,
            env=environment,
        )
        self.answer("ready")

    def start(self, task: Task) -> Process:
        """Start a child; the one before has ended."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{task.to_text()}\n")
        self._process.stdin.flush()
        return Process(self, int(self.answer("begun")))

    def learn(self, modules: list[str]) -> None:
        """Import modules, so that no child has to."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{json.dumps(modules)}\n")
        self._process.stdin.flush()
        self.answer("learnt")

    def answer(self, word: str) -> str:
        """Return what the nursery says next."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        said, _, rest = line.strip().partition(" ")
        assert said == word, f"the nursery said {line!r}, and not {word!r}"
        return rest

    def close(self) -> None:
        """End the nursery; its children have ended."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(20)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def serve(tasks: IO[str], answers: IO[str]) -> None:
    """Fork a child for each task, and import modules for each list of their names."""
    say(answers, "ready")
    for line in tasks:
        asked = json.loads(line)
        if isinstance(asked, list):
            for module in asked:
                # What began by itself in a child may not be there for everybody.
                with suppress(Exception):
                    import_module(module)
            say(answers, "learnt")
            continue
        task = Task(**asked)
        pid = os.fork()
        if pid == 0:
            os._exit(child(task))
        say(answers, f"begun {pid}")
        _, status = os.waitpid(pid, 0)
        say(answers, f"ended {status}")


def child(task: Task) -> int:
    """Do what a child does; what it prints goes into a file of its folder."""
    os.setsid()
    with open(Path(task.folder, f"output-{task.execution}.txt"), "wb") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    try:
        code = execute(task)
    except BaseException:
        traceback.print_exc()
        code = 70
    sys.stdout.flush()
    sys.stderr.flush()
    return code


def say(answers: IO[str], text: str) -> None:
    """Write a line."""
    answers.write(f"{text}\n")
    answers.flush()


if __name__ == "__main__":
    serve(sys.stdin, sys.stdout)
