"""pipefunc: `Pipeline.map` without a pool, which measured faster here than `Pipeline.run` for several outputs."""

from __future__ import annotations

from typing import Any

from pipefunc import PipeFunc, Pipeline

from engines.protocol import Work
from engines.written_functions import functions_of


class PipefuncRun:
    def __init__(self, work: Work) -> None:
        functions = functions_of(work, annotated=False)
        nodes = [PipeFunc(function, f"n{node}") for node, function in enumerate(functions)]
        self._pipeline = Pipeline(nodes, validate_type_annotations=False)
        self._sinks = [f"n{node}" for node in work.sinks()]
        self._results: Any = None

    def run(self) -> None:
        self._results = self._pipeline.map({}, run_folder=None, parallel=False, storage="dict")

    def values(self) -> list[Any]:
        return [self._results[name].output for name in self._sinks]


class PipefuncEngine:
    def prepare(self, work: Work) -> PipefuncRun:
        return PipefuncRun(work)

    def close(self) -> None:
        pass
