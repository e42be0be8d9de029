"""Dask's local schedulers: `dask.get` on the calling thread and `dask.threaded.get`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import dask
import dask.threaded

from engines.dask_graph import dask_graph, sink_keys
from engines.protocol import Work


class DaskRun:
    def __init__(self, work: Work, get: Callable[..., Any]) -> None:
        self._graph, self._keys, self._get = dask_graph(work), sink_keys(work), get
        self._values: list[Any] = []

    def run(self) -> None:
        self._values = list(self._get(self._graph, self._keys))

    def values(self) -> list[Any]:
        return self._values


class DaskEngine:
    def __init__(self, scheduler: str, workers: int) -> None:
        self._get = dask.get if scheduler == "sync" else partial(dask.threaded.get, num_workers=workers)

    def prepare(self, work: Work) -> DaskRun:
        return DaskRun(work, self._get)

    def close(self) -> None:
        pass
