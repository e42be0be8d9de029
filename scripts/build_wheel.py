"""Builds the wheel for the interpreter that runs this script, unless the one that is there is of the same sources.

Usage: python build_wheel.py --maturin .venv/bin/maturin --out dist
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VERSION = f"cp{sys.version_info.major}{sys.version_info.minor}"
# The flag `t` tells a free-threaded build's wheel from the ordinary one of the same version.
TAG = f"{VERSION}-{VERSION}{getattr(sys, 'abiflags', '')}"
# What an earlier build or run left beside the sources.
BUILT_SUFFIXES = {".so", ".pyd", ".dylib", ".pyc"}


def sources() -> Iterator[Path]:
    for name in ("pyproject.toml", "Cargo.toml", "Cargo.lock", "README.md", "LICENSE", "scripts/build_wheel.py"):
        yield ROOT / name
    for folder in ("python", "rust"):
        yield from sorted(p for p in (ROOT / folder).rglob("*") if p.is_file() and p.suffix not in BUILT_SUFFIXES)


def fingerprint() -> str:
    digest = hashlib.sha256(repr((sys.version, sys.executable, os.environ.get("RUSTFLAGS"))).encode())
    for path in sources():
        digest.update(str(path.relative_to(ROOT)).encode() + b"\0")
        digest.update(hashlib.sha256(path.read_bytes()).digest() if path.exists() else b"absent")
    return digest.hexdigest()


def wheels_in(folder: Path) -> list[Path]:
    """The project's wheels that fit the interpreter that runs this."""
    return sorted(folder.glob(f"execution_dataflow-*-{TAG}-*.whl"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--maturin", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()

    stamp, value = options.out / f".stamp-{TAG}", fingerprint()
    if wheels_in(options.out) and stamp.exists() and stamp.read_text() == value:
        return
    for old in wheels_in(options.out):
        old.unlink()
    locked = ["--locked"] if (ROOT / "Cargo.lock").exists() else []
    command = [str(options.maturin), "build", "--release", *locked, "--interpreter", sys.executable]
    command += ["--out", str(options.out)]
    finished = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL)
    if finished.returncode:
        sys.exit(f"error: the wheel did not build (exit {finished.returncode}); the compiler's message is above")
    stamp.write_text(value)


if __name__ == "__main__":
    main()
