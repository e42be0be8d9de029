"""What `make bench` measures is right: graphs, kernels, our engine's values, and the page made of the numbers."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
BENCHES = ROOT / "benches"
SHAPES = ("chain", "wide", "stencil", "tree", "random", "fft", "wavefront", "wide join", "map")
KERNELS = ("no-op", "add", "numpy 100", "numpy 4 MB", "spin 6000 B")

pytestmark = pytest.mark.skipif(not BENCHES.is_dir(), reason="the benchmarks are not part of an installed package")


@pytest.fixture(autouse=True)
def benches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHES))


@pytest.mark.parametrize("nodes", [9, 100, 1_000])
@pytest.mark.parametrize("name", SHAPES)
def test_shape_has_as_many_nodes_as_asked_for_each_after_what_it_takes(name: str, nodes: int) -> None:
    from shapes import ALL_SHAPES, sinks

    shape = ALL_SHAPES[name](nodes)

    assert len(shape) == nodes
    assert all(0 <= source < node for node, taken in enumerate(shape) for source in taken)
    assert all(len(set(taken)) == len(taken) for taken in shape)
    assert any(shape), "without edges it is no graph"
    assert sinks(shape)


def test_shapes_of_the_benchmarks_are_those_that_are_tested() -> None:
    from kernels import FIXED
    from shapes import ALL_SHAPES

    assert set(ALL_SHAPES) == set(SHAPES)
    assert set(FIXED) <= set(KERNELS)


def test_only_joins_take_more_than_three() -> None:
    from shapes import JOINS, SHAPES, is_join

    assert not any(is_join(taken) for shape_of in SHAPES.values() for taken in shape_of(500))
    for shape_of in JOINS.values():
        *before, last = shape_of(500)
        assert is_join(last)
        assert not any(map(is_join, before))


def test_fft_reaches_every_point_from_every_point() -> None:
    from shapes import fft

    shape = fft(64 * 64)
    reached = [1 << node for node in range(64)]
    for taken in shape[64 : 64 * 7]:
        reached.append(reached[taken[0]] | reached[taken[1]])

    assert all(points == (1 << 64) - 1 for points in reached[-64:])


@pytest.mark.parametrize("engine", ["function, 1 worker", "function, 2 workers", "class, 1 worker", "class, 2 workers"])
@pytest.mark.parametrize("kernel", KERNELS)
def test_our_engine_gives_the_values_of_the_loop(engine: str, kernel: str) -> None:
    from engines.registry import ALL
    from measured_process import Case

    made = ALL[engine].make()
    try:
        for shape in SHAPES:
            case = Case(made, shape, 10 if "MB" in kernel else 120, kernel)
            assert case.sample() > 0
            assert case.build_seconds > 0
    finally:
        made.close()


@pytest.mark.parametrize("engine", ["hand-written loop", "graphlib + 2 threads"])
def test_engines_of_the_standard_library_give_the_values_of_the_loop(engine: str) -> None:
    from engines.registry import ALL
    from measured_process import Case

    made = ALL[engine].make()
    try:
        for shape in SHAPES:
            Case(made, shape, 60, "add").sample()
    finally:
        made.close()


def test_static_schedule_gives_the_values_of_the_loop_and_refuses_what_is_no_stencil() -> None:
    from engines.protocol import Unsupported
    from engines.registry import STATIC
    from measured_process import Case

    [entry] = STATIC.values()
    Case(entry.make(), "stencil 8", 80, "add").sample()
    with pytest.raises(Unsupported, match="rows"):
        Case(entry.make(), "tree", 80, "add")


def test_wrong_value_is_noticed() -> None:
    from engines.loop import LoopEngine, LoopRun
    from engines.protocol import Work
    from measured_process import Case, WrongValues

    class OffByOne(LoopRun):
        def values(self) -> list[Any]:
            return [value + 1 for value in super().values()]

    class Faulty(LoopEngine):
        def prepare(self, work: Work) -> LoopRun:
            return OffByOne(work)

    with pytest.raises(WrongValues, match="1 of 1 values"):
        Case(Faulty(), "chain", 10, "add")


def test_values_are_the_same_only_if_type_and_every_number_are() -> None:
    from measured_process import same

    assert same(np.arange(3.0), np.arange(3.0))
    assert not same(np.arange(3.0), np.arange(3))
    assert not same(1.0, 1)
    assert not same(np.float64(1), 1.0)


def test_spin_is_the_same_work_in_another_process() -> None:
    from kernels import Spin

    work = Spin(8_000)

    assert pickle.loads(pickle.dumps(work)).one(7) == work.one(7) != work.one(8)
    assert Spin(1).size == Spin.LEAST, "zlib would keep the GIL"


def test_engine_that_is_not_installed_is_reported_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    from engines import registry
    from measured_process import Process, answered

    monkeypatch.setitem(registry.ALL, "absent", registry.Entry("no_such_module", "Engine"))
    case = {"shape": "chain", "nodes": 10, "kernel": "add"}
    answer = answered(lambda: Process("absent").prepare(case, []))

    assert answer["unsupported"].startswith("cannot be imported: No module named")


def test_published_reasons_have_no_paths_and_one_line() -> None:
    from machine import without_places

    said = without_places("no such file: /home/somebody/secret/place.py\n  in C:\\Users\\somebody")

    assert "somebody" not in said
    assert "\n" not in said


@pytest.mark.parametrize(
    ("efficiencies", "expected"),
    [
        ([0.1, 0.3, 0.7, 0.9], pytest.approx(8 * 2**0.5)),
        ([0.8, 0.9], 4),
        ([0.1, 0.6, 0.4, 0.6], pytest.approx(16 * 2**0.5)),
        ([0.1, 0.2], None),
        ([], None),
    ],
)
def test_metg_is_where_efficiency_crosses_one_half_for_good(efficiencies: list[float], expected: Any) -> None:
    from metg import crossing

    assert crossing([(4 * 2**step, value) for step, value in enumerate(efficiencies)]) == expected


def test_instructions_above_the_tolerance_are_a_regression() -> None:
    from instructions import regressions

    baseline = {"chain": {"instructions per node": 100.0}}

    assert regressions(baseline, {"chain": {"instructions per node": 104.9}}) == []
    assert regressions(baseline, {"chain": {"instructions per node": 50.0}}) == []
    assert "106" in regressions(baseline, {"chain": {"instructions per node": 106.0}})[0]
    assert regressions(baseline, {"wide": {"instructions per node": 1.0}}), "a shape without a baseline is no success"


def test_baseline_of_instructions_is_complete() -> None:
    from instructions import BASELINE, SHAPES

    recorded = json.loads(BASELINE.read_text())

    assert set(recorded["counts"]) == set(SHAPES)
    assert all(value > 0 for counts in recorded["counts"].values() for value in counts.values())


def test_one_command_measures_and_another_writes_the_page(tmp_path: Path) -> None:
    out = tmp_path / "results" / "ours.json"
    engines = "hand-written loop;function, 1 worker;graphlib + 2 threads;C loop by vectorcall"
    command = [sys.executable, str(BENCHES / "compare.py"), "--engines", engines, "--out", str(out)]
    command += ["--suites", "shapes", "--rounds", "2", "--most", "60"]
    # A script is not found beside its own modules where the tests are told to trust no folder.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    rows = json.loads(out.read_text())["rows"]
    assert {row["engine"] for row in rows} == set(engines.split(";"))
    assert all(len(row["samples"]) == 2 or "make bench-native" in row["unsupported"] for row in rows)

    from report import load, page

    text = page(load(out.parent), None)
    assert "| **function, 1 worker** |" in text
    assert "C loop by vectorcall: it is compiled by `make bench-native`" in text


def row(engine: str, ratio: float, **others: Any) -> dict[str, Any]:
    sample = {"seconds": ratio * 1e-3, "loop": 1e-3, "probe": 1e-3}
    case = {"engine": engine, "suite": "shapes", "shape": "chain", "kernel": "no-op", "nodes": 1_000}
    return case | {"samples": [sample] * 3, "version": "1.0"} | others


def test_page_says_where_a_peer_wins_and_what_could_not_be_measured() -> None:
    from report_engines import losses, missing_section, shapes_section

    rows = [
        row("hand-written loop", 1.0),
        row("function, 1 worker", 0.8),
        row("class, 1 worker", 1.5),
        row("Dask sync", 0.75),
        row("Ray, 2 processes", 900.0),
        row("Hamilton", 0, samples=[], unsupported="failed with RecursionError: too deep"),
    ]
    result = {"rounds": 3, "rows": rows}

    assert losses(result) == ["Dask sync on chain, no-op: 0.75 times the loop, this library 0.8"]
    assert "- Hamilton: failed with RecursionError: too deep: chain of 1,000 (no-op)" in missing_section(result)
    table = shapes_section(result)
    assert "| **function, 1 worker** | 0.8 | 1,000 |" in table
    assert "| Ray, 2 processes | 900 | 1,000 |" in table


def test_page_in_the_documentation_is_what_the_results_make() -> None:
    """A table that was edited by hand, or results without their page, would not be believed."""
    from instructions import BASELINE
    from report import load, page

    expected = page(load(BENCHES / "results"), json.loads(BASELINE.read_text()))

    assert (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8") == expected, "run `make bench-docs`"


def test_results_name_no_place_and_nobody() -> None:
    for path in (BENCHES / "results").glob("*.json"):
        text = path.read_text(encoding="utf-8")
        assert not any(word in text for word in ("/home/", "/root/", "/tmp/", "/work/", "site-packages")), path.name
