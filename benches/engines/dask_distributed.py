"""Dask distributed: a scheduler and one worker with threads, all in this process, which is its fastest local form."""

from __future__ import annotations

from typing import Any

from distributed import Client, LocalCluster, wait

from engines.dask_graph import dask_graph, sink_keys
from engines.protocol import Work


class DistributedRun:
    def __init__(self, work: Work, client: Client) -> None:
        self._graph, self._keys, self._client = dask_graph(work), sink_keys(work), client
        self._futures: list[Any] = []

    def run(self) -> None:
        # Results of the run before must be gone: the scheduler would not compute what it still has.
        self._futures = []
        self._futures = self._client.get(self._graph, self._keys, sync=False)
        wait(self._futures)

    def values(self) -> list[Any]:
        return list(self._client.gather(self._futures))


class DistributedEngine:
    def __init__(self, workers: int) -> None:
        self._cluster = LocalCluster(
            n_workers=1, threads_per_worker=workers, processes=False, dashboard_address=None, silence_logs=50
        )
        self._client = Client(self._cluster)

    def prepare(self, work: Work) -> DistributedRun:
        return DistributedRun(work, self._client)

    def close(self) -> None:
        self._client.close()
        self._cluster.close()
