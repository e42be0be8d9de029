"""``execution-dataflow cache``: what operations have kept, listed, shown and deleted."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from cached_operations import Shift, run_one, square
from command_lines import CommandLine

from execution_dataflow import CachePolicy, ExecutionEngine, ResultCache, operation
from execution_dataflow.caching.user_directory import VARIABLE


@operation(cache=CachePolicy(expires_seconds=0.05))
def fleeting(x: int) -> int:
    return x


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    """A cache with five results of three operations."""
    folder = tmp_path / "kept"
    folder.mkdir()
    with ResultCache(folder / "results.db") as cache, ExecutionEngine(cache=cache) as engine:
        for x in (1, 2, 3):
            run_one(engine, square, x=x, trace=str(tmp_path / "trace"))
        run_one(engine, Shift(1, name="step"), x=1, trace=str(tmp_path / "trace"))
        run_one(engine, fleeting, x=1)
    time.sleep(0.06)
    return folder


def test_results_are_listed_shown_and_cleared(command: CommandLine, filled: Path) -> None:
    listed = command("cache", "list", "--cache", filled)
    assert listed.code == 0
    assert "5 results" in listed.out
    assert "expired" in listed.out
    entries = json.loads(command("cache", "list", "--cache", filled, "--operation", "square", "--json").out)
    assert [entry["operation"] for entry in entries] == ["cached_operations.square"] * 3
    key = entries[0]["key"]
    shown = command("cache", "show", key[:10], "--cache", filled / "results.db")
    assert key in shown.out
    assert "it is all in the index" in shown.out
    assert json.loads(command("cache", "show", key, "--cache", filled, "--json").out) == entries[0]
    assert "deleted 1 result" in command("cache", "clear", "--expired", "--cache", filled).out
    assert (
        json.loads(command("cache", "clear", "--operation", "square", "--json", "--cache", filled).out)["deleted"] == 3
    )
    assert "deleted 1 result" in command("cache", "clear", "--cache", filled).out
    assert "has no results" in command("cache", "list", "--cache", filled).out


def test_environment_names_the_cache(command: CommandLine, filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(filled))
    assert len(json.loads(command("cache", "list", "--json", "--limit", "2").out)) == 2


def test_mistakes_are_told_with_what_was_meant(command: CommandLine, filled: Path) -> None:
    for arguments, said in (
        (("list", "--cache", filled / "nothing.db"), "there is no cache"),
        (("list", "--cache", filled, "--operation", "squares"), "did you mean 'square'"),
        (("clear", "--cache", filled, "--operation", "cube"), "has no results of 'cube'"),
        (("show", "zzz", "--cache", filled), "no result whose key begins with 'zzz'"),
        (("list", "--cache", "sqlte:///x.db"), "did you mean sqlite"),
    ):
        ended = command("cache", *arguments)
        assert (ended.code, ended.out) == (2, "")
        assert said in ended.err
    assert not (filled / "nothing.db").exists()


def test_file_that_is_no_cache_is_refused(command: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("no database " * 1000)
    ended = command("cache", "list", "--cache", tmp_path / "text.db")
    assert ended.code == 2
    assert "is no SQLite database" in ended.err
