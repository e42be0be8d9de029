"""Hamilton: a module of functions and its synchronous driver."""

from __future__ import annotations

import itertools
from typing import Any

from hamilton import ad_hoc_utils, base, driver, telemetry

from engines.protocol import Work
from engines.written_functions import functions_of

telemetry.disable_telemetry()
_numbers = itertools.count()


class HamiltonRun:
    def __init__(self, work: Work) -> None:
        functions = functions_of(work, annotated=True)
        module = ad_hoc_utils.create_temporary_module(*functions, module_name=f"graph_{next(_numbers)}")
        self._driver = driver.Builder().with_modules(module).with_adapters(base.DictResult()).build()
        self._sinks = [f"n{node}" for node in work.sinks()]
        self._values: dict[str, Any] = {}

    def run(self) -> None:
        self._values = self._driver.execute(self._sinks)

    def values(self) -> list[Any]:
        return [self._values[name] for name in self._sinks]


class HamiltonEngine:
    def prepare(self, work: Work) -> HamiltonRun:
        return HamiltonRun(work)

    def close(self) -> None:
        pass
