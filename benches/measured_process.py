"""One engine in a process of its own. It is told on its standard input what to do and answers on its standard output.

    python benches/measured_process.py "Dask, 2 threads"

A line in is a JSON object: `prepare` a case, with the cases that are to be timed next to it; take a `sample`; `leave`.
A line out is the answer. What a library prints goes to standard error.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import traceback
from collections.abc import Callable
from statistics import fmean
from typing import Any, TextIO

import numpy as np
from engines.loop import LoopRun
from engines.protocol import Engine, Run, Unsupported, Work
from engines.registry import ALL
from kernels import kernel_named
from machine import probe, seconds, without_places
from shapes import ALL_SHAPES, Shape, stencil

# A sample repeats a run that is over sooner than this, in seconds: the clock and the first touch would show.
_SHORTEST = 0.005


class WrongValues(Exception):
    """An engine gave other values than the loop."""


def same(one: Any, other: Any) -> bool:
    if isinstance(other, np.ndarray):
        return isinstance(one, np.ndarray) and one.dtype == other.dtype and np.array_equal(one, other)
    return type(one) is type(other) and bool(one == other)


def shape_of(name: str, nodes: int) -> Shape:
    """Return a shape by its name; `stencil 8` has rows of eight."""
    family, _, width = name.partition(" ")
    return stencil(nodes, int(width)) if family == "stencil" and width else ALL_SHAPES[name](nodes)


class Case:
    """A graph that an engine has built and has run once, so that every sample is of a warm one."""

    def __init__(self, engine: Engine, shape: str, nodes: int, kernel: str) -> None:
        work = Work(shape_of(shape, nodes), kernel_named(kernel))
        oracle = LoopRun(work)
        oracle.run()
        self._expected = oracle.values()
        made: list[Run] = []
        self.build_seconds = seconds(lambda: made.append(engine.prepare(work)))
        self._run = made[0]
        self.first_seconds = seconds(self._run.run)
        self.check()
        again = seconds(self._run.run)
        self.repeats = max(1, min(1000, int(_SHORTEST / again)))

    def sample(self) -> float:
        """Return the seconds of one run."""

        def runs() -> None:
            for _ in range(self.repeats):
                self._run.run()

        taken = seconds(runs) / self.repeats
        self.check()
        return taken

    def check(self) -> None:
        values = self._run.values()
        wrong = sum(not same(one, other) for one, other in zip(values, self._expected, strict=True))
        if wrong:
            raise WrongValues(f"{wrong} of {len(self._expected)} values differ from those of the loop")


class Process:
    """What a process keeps between two lines."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._engines: dict[str, Engine] = {}
        self._cases: list[Case] = []

    def _engine(self, name: str) -> Engine:
        if name not in self._engines:
            self._engines[name] = ALL[name].make()
        return self._engines[name]

    def prepare(self, case: dict[str, Any], beside: list[dict[str, Any]]) -> dict[str, Any]:
        self._cases = []
        gc.collect()
        made = Case(self._engine(self._name), **case)
        others = [Case(self._engine(other.pop("engine")), **other) for other in beside]
        self._cases = [*others, made]
        return {
            "build_seconds": made.build_seconds,
            "first_seconds": made.first_seconds,
            "repeats": made.repeats,
            "version": ALL[self._name].version(),
        }

    def sample(self) -> dict[str, Any]:
        gc.collect()
        probed = probe()
        *others, made = self._cases
        # On both sides of the sample: a machine that changes its speed in between is met halfway.
        before = [case.sample() for case in others]
        taken = made.sample()
        after = [case.sample() for case in others]
        return {"seconds": taken, "beside": list(map(fmean, zip(before, after, strict=True))), "probe": probed}

    def close(self) -> None:
        self._cases = []
        for engine in self._engines.values():
            engine.close()


def answered(act: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return what `act` gives, or in words why there is nothing to measure."""
    try:
        return act()
    except Unsupported as error:
        return {"unsupported": without_places(str(error))}
    except BaseException as error:
        traceback.print_exc()
        return {"unsupported": without_places(f"failed with {type(error).__name__}: {error}")}


def serve(name: str, lines: TextIO, answers: TextIO) -> None:
    process = Process(name)
    for line in lines:
        order = json.loads(line)
        do = order.pop("do")
        if do == "leave":
            break
        act = process.prepare if do == "prepare" else process.sample
        print(json.dumps(answered(lambda act=act, order=order: act(**order))), file=answers, flush=True)  # type: ignore[misc]
    process.close()


def main() -> None:
    # Libraries write to standard output too: the answers get a file of their own, and 1 becomes a second 2.
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)
        serve(sys.argv[1], sys.stdin, answers)
        answers.flush()
        # Some engines leave threads behind that would keep the process.
        os._exit(0)


if __name__ == "__main__":
    main()
