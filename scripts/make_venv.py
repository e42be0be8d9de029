"""Makes a virtual environment, or leaves it alone when it already is what was asked for.

Usage: python make_venv.py .venv-test --requirements requirements/test.txt --wheels dist

The environment is made with the interpreter that runs this script. It is made anew when the interpreter or a
requirement changed; when only the wheel changed, the wheel alone is replaced.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

from build_wheel import TAG, wheels_in


def interpreter_of(directory: Path) -> Path:
    return directory / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def fingerprint(*parts: bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()


def wheel_for_this_interpreter(folder: Path) -> Path:
    wheels = wheels_in(folder)
    if len(wheels) != 1:
        sys.exit(f"error: {len(wheels)} wheels for {TAG} in {folder}, where one is wanted: run `make wheel`")
    return wheels[0]


def pip(directory: Path, *arguments: str) -> None:
    command = [str(interpreter_of(directory)), "-m", "pip", "--disable-pip-version-check", *arguments]
    try:
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    except subprocess.CalledProcessError as error:
        sys.exit(f"error: pip could not fill {directory} (exit {error.returncode}); its message is above")


def is_stamped(stamp: Path, value: str) -> bool:
    return stamp.is_file() and stamp.read_text() == value


def make(directory: Path, requirements: list[Path], wheel: Path | None) -> None:
    base = fingerprint(sys.version.encode(), sys.executable.encode(), *(path.read_bytes() for path in requirements))
    base_stamp, wheel_stamp = directory / "stamp-requirements", directory / "stamp-wheel"
    if not is_stamped(base_stamp, base):
        if directory.exists():
            shutil.rmtree(directory)
        print(f"making {directory} with {sys.executable}", flush=True)
        venv.create(directory, with_pip=True)
        for path in requirements:
            # What is imported is compiled then; most of what large libraries bring never is.
            pip(directory, "install", "--quiet", "--no-compile", "--requirement", str(path))
        base_stamp.write_text(base)
    if wheel is not None:
        built = fingerprint(wheel.name.encode(), wheel.read_bytes())
        if not is_stamped(wheel_stamp, built):
            print(f"installing {wheel} into {directory}", flush=True)
            pip(directory, "install", "--quiet", "--force-reinstall", "--no-deps", str(wheel))
            # The pinned requirements are meant to hold all that the wheel asks for.
            pip(directory, "check")
            wheel_stamp.write_text(built)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--requirements", type=Path, action="append", default=[], metavar="FILE")
    parser.add_argument("--wheels", type=Path, metavar="FOLDER", help="install the project's wheel from this folder")
    options = parser.parse_args()
    wheel = wheel_for_this_interpreter(options.wheels) if options.wheels else None
    make(options.directory, options.requirements, wheel)


if __name__ == "__main__":
    main()
