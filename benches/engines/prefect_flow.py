"""Prefect: a flow that submits a task for each node to its thread pool, with the ephemeral server of this process."""

from __future__ import annotations

import os
import shutil
import tempfile
from typing import Any

from shapes import is_join

from engines.protocol import Work

# Read when prefect is imported: a profile and a database of our own, and nothing sent to anybody.
_HOME = tempfile.mkdtemp(prefix="prefect-bench-")
os.environ.update(
    PREFECT_HOME=_HOME,
    PREFECT_LOGGING_LEVEL="CRITICAL",
    PREFECT_LOGGING_TO_API_ENABLED="false",
    PREFECT_SERVER_ANALYTICS_ENABLED="false",
    PREFECT_SERVER_ALLOW_EPHEMERAL_MODE="true",
    PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS="120",
    PREFECT_API_URL="",
    DO_NOT_TRACK="1",
)

from prefect import flow, task  # noqa: E402
from prefect.cache_policies import NO_CACHE  # noqa: E402
from prefect.task_runners import ThreadPoolTaskRunner  # noqa: E402


class PrefectRun:
    def __init__(self, work: Work, workers: int) -> None:
        self._work, self._sinks = work, work.sinks()
        tasks: dict[Any, Any] = {}
        for node, taken in enumerate(work.shape):
            kind = "join" if is_join(taken) else len(taken)
            if kind not in tasks:
                function = work.function(node)
                # A kernel may be a bound method, which prefect takes for a task that lacks its `self`.
                tasks[kind] = task(lambda *values, function=function: function(*values), cache_policy=NO_CACHE)

        @flow(task_runner=ThreadPoolTaskRunner(max_workers=workers), validate_parameters=False)
        def run() -> list[Any]:
            futures: list[Any] = []
            for taken in work.shape:
                inputs = [futures[source] for source in taken]
                joins = is_join(taken)
                submitted = tasks["join" if joins else len(taken)].submit(*([inputs] if joins else inputs))
                futures.append(submitted)
            return [futures[node].result() for node in self._sinks]

        self._flow = run
        self._values: list[Any] = []

    def run(self) -> None:
        self._values = self._flow()

    def values(self) -> list[Any]:
        return self._values


class PrefectEngine:
    def __init__(self, workers: int) -> None:
        self._workers = workers

    def prepare(self, work: Work) -> PrefectRun:
        return PrefectRun(work, self._workers)

    def close(self) -> None:
        shutil.rmtree(_HOME, ignore_errors=True)
