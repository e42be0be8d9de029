"""Run the Python suite in two halves side by side: much of it waits for deadlines, processes and signals.

    run_suite.py VENV [ARGUMENTS...]

With arguments for pytest, one pytest runs with them.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

RUN_PYTEST = ["sh", str(Path(__file__).with_name("run_pytest.sh"))]
# What runs beside all the rest, and takes about as long.
ONE_HALF = ["tests/contract", "tests/conformance"]


def main() -> int:
    venv, *arguments = sys.argv[1:]
    if arguments:
        return subprocess.run([*RUN_PYTEST, venv, "tests", *arguments], check=False).returncode
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as told:
        beside = subprocess.Popen([*RUN_PYTEST, venv, *ONE_HALF], stdout=told, stderr=subprocess.STDOUT)
        try:
            others = [f"--ignore={folder}" for folder in ONE_HALF]
            codes = [subprocess.run([*RUN_PYTEST, venv, "tests", *others], check=False).returncode, beside.wait()]
        except BaseException:
            beside.terminate()
            beside.wait()
            raise
        told.seek(0)
        print(told.read(), flush=True)
    return max(codes, key=abs)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
