"""Run the Python suite in parts side by side: much of it waits for deadlines, processes and signals.

    run_suite.py VENV [ARGUMENTS...]
    run_suite.py VENV --parts "tests/contract/test_[a-m]*.py;tests/unit tests/properties"

With other arguments for pytest, one pytest runs with them.
"""

from __future__ import annotations

import glob
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO

RUN_PYTEST = ["sh", str(Path(__file__).with_name("run_pytest.sh"))]
# So that the parts take about as long as each other, some of one folder run with another.
MOVED = "tests/integration/test_[s-z]*.py"
FIRST_PARTS = [
    f"tests/integration --ignore-glob={MOVED.replace('tests', '*', 1)}",
    f"tests/contract tests/conformance {MOVED}",
]
# The last part is all the rest, whatever folders there are.
REST = "tests --ignore=tests/integration --ignore=tests/contract --ignore=tests/conformance"


def run_beside(venv: str, parts: list[list[str]]) -> int:
    """Run a pytest for each part, and print what they say one after the other."""
    running: list[tuple[subprocess.Popen[bytes], IO[bytes]]] = []
    with ExitStack() as stack:
        for part in parts:
            told = stack.enter_context(tempfile.TemporaryFile())
            running.append((subprocess.Popen([*RUN_PYTEST, venv, *part], stdout=told, stderr=subprocess.STDOUT), told))
            stack.callback(end, running[-1][0])
        codes = []
        for process, told in running:
            codes.append(process.wait())
            told.seek(0)
            sys.stdout.write(told.read().decode(errors="replace"))
            sys.stdout.flush()
        return max(codes, key=abs)


def named_in(part: str) -> Iterator[str]:
    """Return the words of a part, patterns of files as those that they fit."""
    for word in part.split():
        is_pattern = glob.has_magic(word) and not word.startswith("-")
        yield from sorted(glob.glob(word)) if is_pattern else [word]


def end(process: subprocess.Popen[bytes]) -> None:
    """End a pytest that is not waited for any more."""
    if process.poll() is None:
        process.terminate()
        process.wait()


def main() -> int:
    venv, *arguments = sys.argv[1:]
    if arguments[:1] == ["--parts"]:
        return run_beside(venv, [list(named_in(part)) for part in arguments[1].split(";")])
    if arguments:
        return subprocess.run([*RUN_PYTEST, venv, "tests", *arguments], check=False).returncode
    return run_beside(venv, [list(named_in(part)) for part in [*FIRST_PARTS, REST]])


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
