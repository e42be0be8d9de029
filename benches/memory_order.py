"""Write tests/data/dask_peaks.json: how many values Dask keeps alive, on our shapes and on those of its own tests.

Run it with the folder `tests` on the path, in an environment with dask[array], pytest, and what dask's tests of its
ordering import (pandas, xarray): ``PYTHONPATH=tests python benches/memory_order.py``. Two peaks are written for each
graph, both with Dask's rule of release: for `dask.order.order` followed to the letter, and for what the threaded
scheduler makes of it with one worker, which takes what became ready last. Of the graphs of Dask's tests only the
structure is kept, as the parents of each task.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import dask
import pytest
from dask._task_spec import convert_legacy_graph
from dask.order import order as dask_order
from memory_shapes import MAKERS, Shape, peak_of_order

TARGET = Path(__file__).resolve().parent.parent / "tests" / "data" / "dask_peaks.json"
# Larger ones would make the file large, and are the same in kind.
_MOST_TASKS = 400


def shape_of(graph: Any) -> Shape:
    """The parents of each task of a Dask graph, parents first."""
    tasks = convert_legacy_graph(dict(graph))
    parents = {key: {before for before in task.dependencies if before in tasks} for key, task in tasks.items()}
    numbers: dict[Any, int] = {}
    while len(numbers) < len(tasks):
        ready = [key for key in tasks if key not in numbers and parents[key] <= numbers.keys()]
        for key in ready:
            numbers[key] = len(numbers)
    return [sorted(numbers[before] for before in parents[key]) for key in numbers]


def captured_shapes() -> dict[str, Shape]:
    """The graphs that Dask's tests of its ordering order, each structure once."""
    import dask.tests.test_order as dask_tests

    found: dict[str, Shape] = {}
    known: set[str] = set()
    current = ""

    def order(graph: Any, *arguments: Any, **options: Any) -> Any:
        result = dask_order(graph, *arguments, **options)
        if 2 < len(graph) <= _MOST_TASKS:
            shape = shape_of(graph)
            if (text := json.dumps(shape)) not in known:
                known.add(text)
                found[f"{current} {len(shape)}"] = shape
        return result

    class Names:
        def pytest_runtest_call(self, item: Any) -> None:
            nonlocal current
            current = item.originalname.removeprefix("test_")

    dask_tests.order = order
    pytest.main(["-q", "-p", "no:cacheprovider", str(dask_tests.__file__)], plugins=[Names()])
    return found


def latest_first(shape: Shape, places: list[int]) -> list[int]:
    """The order of a worker that takes what became ready last, of several the first by `places`."""
    waiting = [len(parents) for parents in shape]
    children: Shape = [[] for _ in shape]
    for task, parents in enumerate(shape):
        for parent in parents:
            children[parent].append(task)
    ready = sorted((task for task, count in enumerate(waiting) if not count), key=places.__getitem__, reverse=True)
    order = []
    while ready:
        task = ready.pop()
        order.append(task)
        for child in sorted(children[task], key=places.__getitem__, reverse=True):
            waiting[child] -= 1
            if not waiting[child]:
                ready.append(child)
    return order


def dask_peaks(shape: Shape) -> tuple[int, int]:
    """The peak of Dask's order, and of its threaded scheduler with one worker."""
    names = [f"task-{number:06}" for number in range(len(shape))]
    graph = {names[task]: (max, *[names[parent] for parent in parents], 0) for task, parents in enumerate(shape)}
    order = dask_order(graph)
    places = [order[name] for name in names]
    by_order = sorted(range(len(shape)), key=places.__getitem__)
    return peak_of_order(shape, by_order), peak_of_order(shape, latest_first(shape, places))


def main() -> None:
    """Write the file."""
    made = {name: make() for name, make in MAKERS.items()}
    captured = captured_shapes()
    lines = []
    for name, shape in {**made, **captured}.items():
        by_order, threaded = dask_peaks(shape)
        entry: dict[str, Any] = {"order": by_order, "threaded": threaded}
        if name in captured:
            entry["parents"] = shape
        lines.append(f"  {json.dumps(name)}: {json.dumps(entry, separators=(',', ':'))}")
    TARGET.parent.mkdir(exist_ok=True)
    body = ",\n".join(lines)
    TARGET.write_text(f'{{"dask": "{dask.__version__}", "graphs": {{\n{body}\n}}}}\n', encoding="utf-8")
    print(f"{len(lines)} graphs in {TARGET}", file=sys.stderr)


if __name__ == "__main__":
    main()
