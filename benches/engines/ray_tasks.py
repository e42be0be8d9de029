"""Ray: a remote function for each node, chained by object references, on worker processes of this machine."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from shapes import is_join

from engines.protocol import Work

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

import ray


class RayRun:
    def __init__(self, work: Work) -> None:
        self._work = work
        remote: dict[Any, Any] = {}

        def made(function: Callable[..., Any], joins: bool) -> Any:
            if joins:
                # Ray resolves references that are arguments, not those inside of a list.
                return ray.remote(lambda *values: function(list(values)))
            return ray.remote(lambda *values: function(*values))

        for node, taken in enumerate(work.shape):
            joins = is_join(taken)
            kind = "join" if joins else len(taken)
            if kind not in remote:
                remote[kind] = made(work.function(node), joins)
        self._remote = [remote["join" if is_join(taken) else len(taken)] for taken in work.shape]
        self._sinks = work.sinks()
        self._references: list[Any] = []

    def run(self) -> None:
        references: list[Any] = []
        for remote, taken in zip(self._remote, self._work.shape, strict=True):
            references.append(remote.remote(*[references[source] for source in taken]))
        self._references = [references[node] for node in self._sinks]
        ray.wait(self._references, num_returns=len(self._references))

    def values(self) -> list[Any]:
        return list(ray.get(self._references))


class RayEngine:
    def __init__(self, workers: int) -> None:
        ray.init(num_cpus=workers, include_dashboard=False, log_to_driver=False, logging_level="error")

    def prepare(self, work: Work) -> RayRun:
        return RayRun(work)

    def close(self) -> None:
        ray.shutdown()
