"""Engines that the tests of one module share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from patience import close_in_time

from execution_dataflow import ExecutionEngine


@pytest.fixture(scope="module")
def processes() -> Iterator[ExecutionEngine]:
    engine = ExecutionEngine(max_workers=2, executor="process")
    yield engine
    close_in_time(engine.close)


@pytest.fixture(scope="module")
def threads() -> Iterator[ExecutionEngine]:
    engine = ExecutionEngine(max_workers=2)
    yield engine
    close_in_time(engine.close)
