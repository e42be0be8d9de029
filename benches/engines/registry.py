"""All engines by name: where their adapter is, and how large a graph they are given."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import execution_dataflow
from engines.protocol import Engine, Unsupported

_OURS = "execution-dataflow"


@dataclass(frozen=True)
class Entry:
    """An engine that can be measured.

    Attributes
    ----------
    module, maker, arguments
        The adapter's module in this package, its class, and what the class is made with.
    distribution : str or None
        What `pip` calls it; None for the standard library.
    most_nodes : int
        The largest graph that it is given, so that one run takes about a second at most.
    background : bool
        Whether it has threads or processes that work while it is not asked: it is then measured alone.
    """

    module: str
    maker: str
    arguments: tuple[Any, ...] = ()
    distribution: str | None = None
    most_nodes: int = 100_000
    background: bool = False

    def make(self) -> Engine:
        """Import the adapter and start its engine."""
        try:
            module = importlib.import_module(f"engines.{self.module}")
        except ImportError as error:
            raise Unsupported(f"cannot be imported: {error}") from error
        engine: Engine = getattr(module, self.maker)(*self.arguments)
        return engine

    def version(self) -> str | None:
        if self.distribution == _OURS:
            # A work tree has no metadata.
            return execution_dataflow.__version__
        try:
            return version(self.distribution) if self.distribution else None
        except PackageNotFoundError:
            return None


OURS = {
    f"{kind}, {workers} worker{'s' * (workers > 1)}": Entry("ours", "OurEngine", (kind, workers), _OURS)
    for kind in ("function", "class")
    for workers in (1, 2)
}

LOOP = {"hand-written loop": Entry("loop", "LoopEngine")}

PEERS = {
    "graphlib + 2 threads": Entry("graphlib_threads", "GraphlibEngine", (2,), None, 10_000),
    "joblib, 2 threads, by level": Entry("joblib_levels", "JoblibEngine", (2,), "joblib", 300),
    "Hamilton": Entry("hamilton_driver", "HamiltonEngine", (), "sf-hamilton", 2_000),
    "pipefunc": Entry("pipefunc_pipeline", "PipefuncEngine", (), "pipefunc", 200),
    "Dask sync": Entry("dask_local", "DaskEngine", ("sync", 1), "dask", 10_000),
    "Dask, 2 threads": Entry("dask_local", "DaskEngine", ("threaded", 2), "dask", 10_000),
    "Frisky, 2 threads": Entry("frisky_cluster", "FriskyEngine", (2,), "frisky", 1_000, background=True),
    "Dask distributed, 2 threads": Entry(
        "dask_distributed", "DistributedEngine", (2,), "distributed", 300, background=True
    ),
    "Ray, 2 processes": Entry("ray_tasks", "RayEngine", (2,), "ray", 500, background=True),
    "TaskFlow serial": Entry("openstack_taskflow", "TaskflowEngine", ("serial", 1), "taskflow", 50),
    "TaskFlow, 2 threads": Entry("openstack_taskflow", "TaskflowEngine", ("parallel", 2), "taskflow", 50),
    "Prefect, 2 threads": Entry("prefect_flow", "PrefectEngine", (2,), "prefect", 50, background=True),
}

STATIC = {"bare threads, static schedule": Entry("static_threads", "StaticEngine", (2,))}

NATIVE = {
    "C loop by vectorcall": Entry("c_loop", "CEngine", (False, False)),
    "C loop, clock read": Entry("c_loop", "CEngine", (True, False)),
    "C loop, context copy": Entry("c_loop", "CEngine", (False, True)),
    "C loop, clock and context": Entry("c_loop", "CEngine", (True, True)),
}

ALL = LOOP | OURS | PEERS | STATIC | NATIVE
