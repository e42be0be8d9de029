"""Modules that tests make from texts, and the fingerprints of what is in them."""

from __future__ import annotations

import importlib.util
import itertools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, TypeAlias

import pytest

from execution_dataflow import GraphDefinition
from execution_dataflow.fingerprinting import plan_fingerprints, what_changed

__all__ = ["Load", "changes", "fingerprint_of", "load"]

Load: TypeAlias = Callable[[str], ModuleType]


@pytest.fixture
def load(tmp_path: Path) -> Iterator[Load]:
    """Import texts as modules of one name, each from a file of its own."""
    numbers = itertools.count()

    def load(text: str) -> ModuleType:
        path = tmp_path / str(next(numbers)) / "sample.py"
        path.parent.mkdir()
        path.write_text(text, encoding="utf-8")
        spec = importlib.util.spec_from_file_location("sample", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules["sample"] = module
        spec.loader.exec_module(module)
        return module

    yield load
    sys.modules.pop("sample", None)


def fingerprint_of(made: Any) -> bytes:
    graph = GraphDefinition()
    graph.add(made)
    found = plan_fingerprints(graph.compile())
    assert found.of(0) is not None, found.reason(0)
    return found.of(0) or b""


def changes(load: Load, before: str, after: str) -> tuple[str, ...]:
    """Return what a change of the text changes about the operation ``made`` in it."""
    one = load(before)
    first = fingerprint_of(one.made)
    return what_changed(first, fingerprint_of(load(after).made))
