"""Who runs what `elsewhere.py` measures: each with two worker processes on this machine, started before."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import elsewhere_work as work

from execution_dataflow import ExecutionEngine, GraphDefinition, operation

WORKERS = 2


class Elsewhere:
    """What is measured of each."""

    can: tuple[str, ...] = ("many", "one", "hand_over", "fan_out")

    def many(self, count: int) -> object:
        """So many calls that do nothing, in flight together."""
        raise NotImplementedError

    def one(self) -> object:
        """One call, there and back."""
        raise NotImplementedError

    def hand_over(self, megabytes: int) -> int:
        """Have an array made by a worker and read by a worker; return what was read."""
        raise NotImplementedError

    def fan_out(self, count: int) -> object:
        """So many coroutines that yield once, in flight together."""
        raise NotImplementedError

    def close(self) -> None:
        """End what was started."""


class Ours(Elsewhere):
    """Graphs with operations for worker processes."""

    def __init__(self, make: Callable[..., Any] = work.make) -> None:
        self._engine = ExecutionEngine(max_workers=WORKERS, executor="process")
        self._make = operation(make)
        self._single = GraphDefinition("single")
        self._single.add(work.nothing, x=1)
        self._graphs: dict[tuple[str, int], tuple[GraphDefinition, Any]] = {}

    def _run(self, graph: GraphDefinition) -> Any:
        result = self._engine.run(graph)
        result.raise_if_failed()
        return result

    def _kept(self, kind: str, size: int, build: Callable[[GraphDefinition], Any]) -> tuple[GraphDefinition, Any]:
        if (kind, size) not in self._graphs:
            graph = GraphDefinition(kind)
            self._graphs[kind, size] = graph, build(graph)
        return self._graphs[kind, size]

    def many(self, count: int) -> object:
        graph, _ = self._kept("many", count, lambda g: g.map(work.nothing, over={"x": list(range(count))}))
        return self._run(graph)

    def one(self) -> object:
        return self._run(self._single)

    def hand_over(self, megabytes: int) -> int:
        graph, last = self._kept(
            "hand_over", megabytes, lambda g: g.add(work.read, array=g.add(self._make, megabytes=megabytes))
        )
        result: int = self._run(graph).get_output(last)
        return result

    def fan_out(self, count: int) -> object:
        def build(graph: GraphDefinition) -> None:
            for number in range(count):
                graph.add(work.yields, x=number)

        return self._run(self._kept("fan_out", count, build)[0])

    def close(self) -> None:
        self._engine.close()


class OursShared(Ours):
    """The same with arrays of ``context.empty``."""

    can = ("hand_over",)

    def __init__(self) -> None:
        super().__init__(work.make_shared)


class Futures(Elsewhere):
    """An executor of the standard library's kind, with its own cure for small calls where it has one."""

    can: tuple[str, ...] = ("many", "one", "hand_over")

    def __init__(self, executor: Executor, chunk: int = 1) -> None:
        self._executor = executor
        self._chunk = chunk

    def many(self, count: int) -> object:
        return list(self._executor.map(work.nothing, range(count), chunksize=self._chunk))

    def one(self) -> object:
        return self._executor.submit(work.nothing, 1).result()

    def hand_over(self, megabytes: int) -> int:
        array = self._executor.submit(work.make, megabytes).result()
        return self._executor.submit(work.read, array).result()

    def close(self) -> None:
        self._executor.shutdown()


class Chunked(Futures):
    """The same, told how to batch."""

    can = ("many",)


def standard() -> Futures:
    return Futures(ProcessPoolExecutor(WORKERS, mp_context=get_context("forkserver")))


def standard_chunked() -> Futures:
    return Chunked(ProcessPoolExecutor(WORKERS, mp_context=get_context("forkserver")), 32)


def loky() -> Futures:
    try:
        from loky import ProcessPoolExecutor as Loky
    except ImportError:
        from joblib.externals.loky import ProcessPoolExecutor as Loky
    return Futures(Loky(max_workers=WORKERS))


class Dask(Elsewhere):
    """Dask distributed: a scheduler in this process, two workers of one thread."""

    def __init__(self) -> None:
        from distributed import Client, LocalCluster

        self._cluster = LocalCluster(
            n_workers=WORKERS, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=50
        )
        self._client = Client(self._cluster)
        self._names = list(self._client.scheduler_info()["workers"])

    def many(self, count: int) -> object:
        return self._client.gather(self._client.map(work.nothing, range(count), pure=False))

    def one(self) -> object:
        return self._client.submit(work.nothing, 1, pure=False).result()

    def hand_over(self, megabytes: int) -> int:
        array = self._client.submit(work.make, megabytes, pure=False, workers=self._names[0])
        result: int = self._client.submit(work.read, array, pure=False, workers=self._names[1]).result()
        return result

    def fan_out(self, count: int) -> object:
        return self._client.gather(self._client.map(work.yields, range(count), pure=False))

    def close(self) -> None:
        self._client.close()
        self._cluster.close()


class Ray(Elsewhere):
    """Ray: tasks, its object store, and an actor with coroutines."""

    def __init__(self) -> None:
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        import ray

        self._ray = ray
        ray.init(num_cpus=WORKERS + 1, include_dashboard=False, log_to_driver=False, logging_level="error")
        self._nothing, self._make, self._read = (ray.remote(each) for each in (work.nothing, work.make, work.read))

        class Yielding:
            async def yields(self, x: int) -> int:
                return await work.yields(x)

        self._actor = ray.remote(Yielding).options(max_concurrency=20_000).remote()

    def many(self, count: int) -> object:
        return self._ray.get([self._nothing.remote(number) for number in range(count)])

    def one(self) -> object:
        return self._ray.get(self._nothing.remote(1))

    def hand_over(self, megabytes: int) -> int:
        result: int = self._ray.get(self._read.remote(self._make.remote(megabytes)))
        return result

    def fan_out(self, count: int) -> object:
        return self._ray.get([self._actor.yields.remote(number) for number in range(count)])

    def close(self) -> None:
        self._ray.shutdown()


class Gather(Elsewhere):
    """The coroutines of the fan-out alone, under asyncio."""

    can = ("fan_out",)

    def fan_out(self, count: int) -> object:
        async def all_of_them() -> list[int]:
            return await asyncio.gather(*[work.yields(number) for number in range(count)])

        return asyncio.run(all_of_them())


ENGINES: dict[str, Callable[[], Elsewhere]] = {
    "ours": Ours,
    "ours, context.empty": OursShared,
    "concurrent.futures": standard,
    "concurrent.futures, chunks of 32": standard_chunked,
    "loky": loky,
    "Dask distributed": Dask,
    "Ray": Ray,
    "asyncio.gather": Gather,
}
