"""Builds what is native here with the system's compilers: the C loop, and the graphs of C++ Taskflow.

    python benches/native/build.py --out target/bench-native [--taskflow FOLDER-OF-ITS-HEADERS]

What is newer than its source stays as it is. A compiler that is missing is an error that says so.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

HERE = Path(__file__).resolve().parent


def compiled(command: list[str], source: Path, target: Path) -> None:
    """Run a compiler, unless its result is there already."""
    if target.is_file() and target.stat().st_mtime > source.stat().st_mtime:
        return
    if shutil.which(command[0]) is None:
        sys.exit(f"error: {command[0]} is not on PATH: install a C and C++ compiler (Debian: build-essential)")
    target.parent.mkdir(parents=True, exist_ok=True)
    made = target.with_suffix(".new")
    done = subprocess.run([*command, str(source), "-o", str(made)], check=False)
    if done.returncode:
        sys.exit(f"error: {command[0]} could not compile {source.name}; its message is above")
    made.rename(target)


def build_loop(out: Path) -> None:
    """Build the extension module `floor_loop` for this interpreter."""
    include = sysconfig.get_paths()["include"]
    if not (Path(include) / "Python.h").is_file():
        sys.exit("error: Python.h is missing: install the headers of this interpreter (Debian: python3-dev)")
    compiler = shlex.split(os.environ.get("CC", "cc"))
    flags = ["-O3", "-DNDEBUG", "-shared", "-fPIC", "-std=c11", "-D_POSIX_C_SOURCE=200809L", f"-I{include}"]
    undefined = ["-undefined", "dynamic_lookup"] if sys.platform == "darwin" else []
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    compiled([*compiler, *flags, *undefined], HERE / "floor.c", out / f"floor_loop{suffix}")


def build_taskflow(out: Path, headers: Path) -> None:
    compiler = shlex.split(os.environ.get("CXX", "c++"))
    flags = ["-O3", "-DNDEBUG", "-std=c++17", "-pthread", f"-I{headers}"]
    compiled([*compiler, *flags], HERE / "taskflow.cpp", out / "taskflow")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--taskflow", type=Path)
    options = parser.parse_args()
    build_loop(options.out)
    if options.taskflow:
        build_taskflow(options.out, options.taskflow)


if __name__ == "__main__":
    main()
