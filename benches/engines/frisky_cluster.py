"""Frisky, a scheduler for Dask graphs in Rust: one worker with threads in this process."""

from __future__ import annotations

from typing import Any

import frisky.dask
from frisky import LocalCluster

from engines.dask_graph import dask_graph, sink_keys
from engines.protocol import Work


class FriskyRun:
    def __init__(self, work: Work, client: Any) -> None:
        self._graph, self._keys, self._client = dask_graph(work), sink_keys(work), client
        self._values: list[Any] = []

    def run(self) -> None:
        self._values = list(frisky.dask.get(self._client, self._graph, self._keys))

    def values(self) -> list[Any]:
        return self._values


class FriskyEngine:
    def __init__(self, workers: int) -> None:
        self._cluster = LocalCluster(n_workers=1, threads_per_worker=workers, silence_summary=True)
        self._client = self._cluster.get_client()

    def prepare(self, work: Work) -> FriskyRun:
        return FriskyRun(work, self._client)

    def close(self) -> None:
        self._client.close()
        self._cluster.close()
