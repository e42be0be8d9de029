"""A definition that is saved and loaded is the same: names, order, channels, options, constants."""

from __future__ import annotations

import math
import random
import sys
import uuid
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path, PurePosixPath, PureWindowsPath
from types import ModuleType
from typing import Any, Literal

import filed_operations as ops
import pytest

from execution_dataflow import (
    DefinitionError,
    ExecutionEngine,
    FallbackValue,
    GraphDefinition,
    GraphValidationError,
    MissingExtraError,
    Operation,
    RateLimit,
    RetryPolicy,
    mapped,
    operation,
)
from execution_dataflow.names import stable_names
from execution_dataflow.operations import OPTIONS

FORMATS: list[Any] = ["yaml", "json", "toml"]
ALLOW = ["filed_operations", "filed_operations:plain", "filed_operations:pair", "builtins:sum"]


def told(value: Any) -> Any:
    """What can be compared of an option or a constant, its class included."""
    if isinstance(value, FallbackValue):
        return "value", told(value.value)
    if isinstance(value, Operation):
        return described(value)
    if isinstance(value, list | tuple):
        return type(value), [told(item) for item in value]
    if isinstance(value, dict):
        return [(told(name), told(member)) for name, member in value.items()]
    if isinstance(value, float | complex | Decimal):
        return repr(value)
    return type(value), value


def described(one: Operation) -> Any:
    graph = getattr(one, "graph", None)
    item = getattr(one, "item", None)
    return (
        type(one),
        one.name,
        getattr(getattr(one, "definition", None), "function", None),
        None if item is None else (described(item), one.over, one.stack, one.on_error),  # type: ignore[attr-defined]
        [(option, told(getattr(one, option))) for option in OPTIONS if option not in ("name", "on_failure")],
        told(one.on_failure),
        {name: told(value) for name, value in vars(one).items() if name in ("limit", "ending", "settings", "rate")},
        [(name, str(port)) for name, port in (*one.ports.inputs, *one.ports.outputs)],
        None if graph is None else content(graph),
    )


def content(graph: GraphDefinition) -> Any:
    builder = graph._building.builder
    nodes = range(len(graph))
    return {
        "name": graph.name,
        "names": stable_names(graph.operations),
        "operations": [described(one) for one in graph.operations],
        "edges": builder.edges(),
        "sources": [
            [(port, source if source[0] == 0 else told(source[1])) for port, source in builder.sources_into(node)]
            for node in nodes
        ],
        "orders": builder.orders(),
        "outputs": {name: (builder.index_of(one), port) for name, (one, port) in graph._declared_outputs.items()},
    }


@pytest.fixture(params=FORMATS)
def again(request: pytest.FixtureRequest) -> Callable[[GraphDefinition], GraphDefinition]:
    """Saves a graph, loads it, compares, and gives what was loaded."""

    def save_and_load(graph: GraphDefinition) -> GraphDefinition:
        text = graph.dumps(format=request.param)
        loaded = GraphDefinition.loads(text, format=request.param, allow=ALLOW)
        assert content(loaded) == content(graph)
        assert loaded.dumps(format=request.param) == text
        try:
            graph.validate()
        except GraphValidationError:
            return loaded
        assert not graph.diff(loaded), str(graph.diff(loaded))
        return loaded

    return save_and_load


Again = Callable[[GraphDefinition], GraphDefinition]


def test_chain_comes_back_and_runs(again: Again) -> None:
    graph = GraphDefinition("etl")
    source = graph.add(ops.load, path=" a.csv ")
    graph.add(ops.Clean(4, ending="!"), raw=source)
    assert ExecutionEngine().run(again(graph)).values == {"clean": b"a.cs!"}


def test_names_come_back_explicit_or_not(again: Again) -> None:
    graph = GraphDefinition()
    graph.add(ops.load, path="a")
    graph.add(ops.load.new(name="load_2"), path="b")
    graph.add(ops.load, path="c")
    graph.add(ops.load.new(name="source: 1, [x] 'ü' \"q\" #"), path="d")
    graph.add(ops.load.new(name="a.b"), path="e")
    graph.add(ops.load.new(name="no"), path="f")
    graph.add(ops.load.new(name="$x"), path="g")
    graph.add(ops.Plain(name="Plain"), raw=b"x")
    graph.add(ops.Plain(), raw=b"x")
    loaded = again(graph)
    assert [one.name for one in loaded.operations] == [one.name for one in graph.operations]


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        0,
        -7,
        2**63,
        -(2**70),
        1.5,
        -0.0,
        1e300,
        math.inf,
        -math.inf,
        math.nan,
        "",
        "text",
        "two\nlines\r\n\ttab",
        "no",
        "null",
        "0o17",
        "1e3",
        "089",
        "12:30",
        "2026-11-23",
        "a.b",
        "\0\x7f\x85\u2028\ufeff😀",
        " spaces ",
        "- dash",
        "$tuple",
        [],
        {},
        (),
        [1, "a", None, [2.5, {"b": (3,)}]],
        {"z": 1, "a": {"c": [1]}, "b": 2},
        {"t": [{"x": 1}], "u": 1},
        {1: "a", (2, "b"): [None]},
        {"$x": 1},
        {"": 1, "a b": 2, "1": 3, "true": 4},
        {1, 2},
        frozenset({"a"}),
        b"\x00\xff",
        bytearray(b"abc"),
        3 + 4j,
        complex(math.inf, -0.0),
        range(2, 20, 3),
        date(2026, 11, 23),
        datetime(2026, 11, 23, 12, 30, 1, 5),
        datetime(2026, 11, 23, tzinfo=UTC),
        datetime(2026, 11, 23, tzinfo=timezone(timedelta(hours=2))),
        time(12, 30, 0, 250),
        timedelta(days=-1, microseconds=7),
        Decimal("1.50"),
        Decimal("NaN"),
        uuid.UUID(int=5),
        Path("data/x.csv"),
        PurePosixPath("/a"),
        PureWindowsPath("c:\\x"),
    ],
    ids=repr,
)
def test_constant_comes_back(again: Again, value: Any) -> None:
    graph = GraphDefinition()
    graph.add(ops.accept, value=value)
    again(graph)


def test_options_come_back(again: Again) -> None:
    def everything() -> dict[str, Any]:
        return {
            "retry_policy": RetryPolicy(5, 0.5, 2.0, 9.0, 0.1, (OSError, ops.Trouble), KeyError),
            "executor": "thread",
            "priority": -3,
            "description": "what it\nis for",
            "timeout_seconds": 1.5,
            "resources": {"gpu": 1, "memory": 0.5},
            "max_concurrency": 2,
            "rate_limit": RateLimit(10, per_seconds=60, burst=3),
            "tags": ["a", "b"],
            "output_bytes": 1 << 40,
            "always_run": True,
        }

    graph = GraphDefinition()
    graph.add(ops.load.new(**everything()), path="a")
    graph.add(ops.Plain(**everything()), raw=b"x")
    graph.add(ops.Clean(limit=3, **everything()), raw=b"x")
    graph.add(ops.load.new(retry_policy=RetryPolicy(retry_on=(OSError,))), path="b")
    graph.add(ops.load.new(retry_policy=RetryPolicy(retry_on=OSError)), path="c")
    again(graph)


def test_options_of_the_decorator_and_of_the_constructor_are_not_repeated(again: Again) -> None:
    graph = GraphDefinition()
    graph.add(ops.fetch)
    graph.add(ops.Resilient(), x=1)
    loaded = again(graph)
    assert "options" not in graph.dumps(format="json")
    assert loaded.operations[0].priority == 4
    assert loaded.operations[1].timeout_seconds == 7


def test_options_that_were_taken_back_come_back(again: Again) -> None:
    graph = GraphDefinition()
    fetch, resilient = ops.fetch.new(), ops.Resilient()
    fetch.retry_policy, fetch.priority, fetch.tags = None, 0, []
    resilient.retry_policy = None
    resilient.timeout_seconds = None
    graph.add(fetch)
    graph.add(resilient, x=1)
    again(graph)


def test_what_stands_in_comes_back(again: Again) -> None:
    graph = GraphDefinition()
    graph.add(ops.load.new(on_failure=FallbackValue(b"none")), path="a")
    graph.add(ops.load.new(on_failure=b"none"), path="a")
    graph.add(ops.load.new(on_failure=FallbackValue(None)), path="b")
    graph.add(ops.load.new(on_failure=ops.fetch.new(name="other", priority=1)), path="c")
    graph.add(ops.load.new(on_failure=ops.fetch), path="d")
    graph.add(ops.Clean(on_failure=ops.Clean(1, ending="?")), raw=b"x")
    again(graph)


def test_plain_functions_and_names_of_outputs_come_back(again: Again) -> None:
    graph = GraphDefinition()
    graph.add(ops.plain, x=3)
    both = graph.add(operation(outputs=("one", "two"))(ops.pair), x=1)
    only = graph.add(operation(outputs="only")(ops.pair), x=1)
    graph.add(ops.accept, value=both["two"])
    graph.add(ops.accept, value=only)
    graph.add(sum, iterable=[1, 2])
    again(graph)


def test_arguments_come_back(again: Again) -> None:
    graph = GraphDefinition()
    graph.add(ops.OwnOptions(RetryPolicy(4), RateLimit(3)))
    graph.add(ops.OwnOptions(RetryPolicy(4), rate_limit=RateLimit(3)))
    graph.add(ops.OwnOptions(retry_policy=RetryPolicy(4, retry_on=ops.Trouble), rate_limit=RateLimit(3)))
    graph.add(ops.Settings(name="x", priority="high", tags=None))
    graph.add(ops.Outer.Inner())
    graph.add(ops.Where(Path("a")))
    graph.add(ops.Dated())
    again(graph)


@pytest.mark.parametrize(
    "made", [ops.Clean(4), ops.Clean(limit=4, ending="!"), ops.Clean(4, ending="!"), ops.Where(Path("a"))], ids=repr
)
def test_arguments_stay_positions_or_keywords(again: Again, made: Operation) -> None:
    graph = GraphDefinition()
    graph.add(made)
    assert repr(again(graph).operations[0]) == repr(made)


def test_many_sources_and_constants_come_back_in_their_order(again: Again) -> None:
    graph = GraphDefinition()
    a, b = graph.add(ops.load, path="a"), graph.add(ops.load, path="b")
    graph.add(ops.Join(), parts=[b, b"1", a, a, b"2"])
    graph.add(ops.Join(), parts=[b"1", b"2"])
    graph.add(ops.Join(), parts=[a])
    assert next(iter(ExecutionEngine().run(again(graph)).values.values())) == b"b1aa2"


def test_channels_come_back_in_the_order_of_connection(again: Again) -> None:
    generator = random.Random(5)
    graph = GraphDefinition()
    nodes = [graph.add_operation(ops.Join(name=f"n{index}")) for index in range(8)]
    pairs = [(a, b) for a in range(8) for b in range(a + 1, 8)]
    generator.shuffle(pairs)
    for a, b in pairs:
        graph.connect(nodes[a], "joined", nodes[b], "parts")
    assert '"connections"' in graph.dumps(format="json")
    again(graph)


def test_operations_may_be_defined_after_those_that_take_from_them(again: Again) -> None:
    graph = GraphDefinition()
    last = graph.add_operation(ops.Plain())
    first = graph.add(ops.load, path="x")
    graph.connect(first, "result", last, "raw")
    assert ExecutionEngine().run(again(graph)).values == {"out": b"x"}


def test_dependencies_come_back(again: Again) -> None:
    graph = GraphDefinition()
    a, b, c = (graph.add(ops.load, path=name) for name in "abc")
    graph.add_dependency(a, b)
    graph.add_dependency(a, c)
    graph.add_dependency(b, c)
    again(graph)
    graph.add_dependency(a, b)
    again(graph)


def test_maps_come_back(again: Again) -> None:
    graph = GraphDefinition()
    numbers = graph.map(ops.plain, over={"x": range(4)}, y=3, max_concurrency=2)
    graph.map(ops.accept.new(name="each", retry_policy=RetryPolicy(3)), over=numbers, on_error="keep", name="kept")
    graph.map(mapped(ops.plain, over="y"), over={"x": [1, 2]}, y=[1, 2, 3], name="table")
    graph.map(ops.Clean(2), over=[b"abc"], name="cleaned").priority = 3
    graph.map(ops.plain, over={"x": [1]}, stack=True, name="stacked")
    assert ExecutionEngine().run(again(graph)).values["table.result"] == [[1, 2, 3], [2, 4, 6]]


def test_parameters_outputs_and_nested_graphs_come_back(again: Again) -> None:
    inner = GraphDefinition("inner")
    text = inner.parameter("text", bytes)
    cleaned = inner.add(ops.Plain(), raw=inner.add(ops.Join(), parts=[text, text]))
    inner.output("cleaned", cleaned)
    graph = GraphDefinition("outer")
    path = graph.parameter("path", str | None, default="x", description="where from")
    graph.parameter("rows", list[dict[str, int]], default=[{"a": 1}])
    graph.parameter("mode", Literal["fast", 1, True, None], default="fast")
    graph.parameter("of_mine", ops.Clean | None, default=None)
    graph.parameter("pairs", tuple[int, ...], default=(1,))
    fetched = graph.add(ops.fetch, path=path)
    first = graph.add(inner, text=fetched)
    second = graph.add(inner.as_operation("again", description="once more"), text=first)
    graph.output("all", second)
    graph.output("half", first["cleaned"])
    loaded = again(graph)
    assert ExecutionEngine().run(loaded, parameters={"path": "ab"}).values == {"all": b"ab" * 4, "half": b"ab" * 2}


def test_parameter_after_operations_comes_back_in_its_place(again: Again) -> None:
    graph = GraphDefinition()
    graph.add(ops.load, path="a")
    graph.parameter("late", int)
    again(graph)


def test_graphs_nest_fifteen_deep_and_no_deeper(again: Again) -> None:
    graph = GraphDefinition("g0")
    graph.add(ops.load, path="a")
    for depth in range(1, 16):
        outer = GraphDefinition(f"g{depth}")
        outer.add(graph)
        graph = outer
    again(graph)
    outer = GraphDefinition("outer")
    outer.add(graph)
    deeper = GraphDefinition("deeper")
    deeper.add(outer)
    with pytest.raises(DefinitionError, match="graphs nest more than 16 deep"):
        deeper.dumps(format="json")


def test_file_keeps_the_graph(tmp_path: Path) -> None:
    graph = GraphDefinition("etl")
    graph.add(ops.load, path="x")
    for name in ("a.yaml", "b.yml", "c.json", "d.toml", "E.JSON"):
        graph.save(tmp_path / name)
        assert content(GraphDefinition.load(str(tmp_path / name), allow=[ops])) == content(graph)
    graph.save(tmp_path / "definition", format="yaml")
    assert len(GraphDefinition.load(tmp_path / "definition", format="yaml", allow=[ops])) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "E.JSON",
        "a.yaml",
        "b.yml",
        "c.json",
        "d.toml",
        "definition",
    ]


def test_failed_save_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text("before")
    graph = GraphDefinition()
    graph.add(lambda: 1)
    with pytest.raises(DefinitionError):
        graph.save(file)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["before"]


def test_nested_graph_may_be_in_a_file_of_its_own(tmp_path: Path) -> None:
    inner = GraphDefinition("inner")
    inner.add(ops.Plain())
    (tmp_path / "parts").mkdir()
    inner.save(tmp_path / "parts" / "inner.toml")
    (tmp_path / "outer.yaml").write_text(
        "version: 1\noperations:\n  clean: {graph: parts/inner.toml, constants: {raw: !!str x}}\n"
    )
    with pytest.raises(DefinitionError, match=r"constants\.raw"):
        GraphDefinition.load(tmp_path / "outer.yaml", allow=[ops])
    (tmp_path / "outer.yaml").write_text(
        "version: 1\noperations:\n  clean: {graph: parts/inner.toml, constants: {raw: {$bytes: eA==}}}\n"
    )
    graph = GraphDefinition.load(tmp_path / "outer.yaml", allow=[ops])
    assert ExecutionEngine().run(graph).values == {"out": b"x"}


def test_subclass_of_the_graph_is_loaded_as_itself() -> None:
    class Mine(GraphDefinition):
        pass

    assert type(Mine.loads('{"version": 1}', format="json", allow=[])) is Mine


@pytest.mark.parametrize(("module", "form", "extra"), [("yaml", "yaml", "yaml"), ("tomli_w", "toml", "toml")])
def test_missing_extra_is_told(monkeypatch: pytest.MonkeyPatch, module: str, form: Any, extra: str) -> None:
    class Finder:
        @staticmethod
        def find_spec(name: str, path: Any = None, target: ModuleType | None = None) -> None:
            if name == module:
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setattr(sys, "meta_path", [Finder, *sys.meta_path])
    with pytest.raises(MissingExtraError, match=rf"execution-dataflow\[{extra}\]"):
        GraphDefinition().dumps(format=form)
    if form == "yaml":
        with pytest.raises(MissingExtraError):
            GraphDefinition.loads("version: 1", format=form, allow=[])
