"""Random definitions, right and wrong, through the Python API and as files: only documented errors come out."""

from __future__ import annotations

import json
import os
from typing import Any

import filed_operations as ops
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from execution_dataflow import (
    DataflowError,
    DefinitionError,
    ExecutionEngine,
    GraphDefinition,
    OutputReference,
    RetryPolicy,
    mapped,
    operation,
)
from execution_dataflow.definition_files.formats import read, write
from execution_dataflow.definition_files.located import Faults, Located
from execution_dataflow.definition_files.plain_values import Encoder, decode
from execution_dataflow.names import stable_names

SCALE = int(os.environ.get("SOAK_SCALE", "1"))
DOCUMENTED = (DataflowError, TypeError, ValueError)
FORMATS: list[Any] = ["yaml", "json", "toml"]
ALLOW = ["filed_operations", "filed_operations:plain", "builtins:sum"]

thorough = settings(max_examples=30 * SCALE, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)

# ---------------------------------------------------------------- through the Python API

NAMES = st.sampled_from(["raw", "path", "clean", "result", "x", "rwa", "", "parts", "value", "a b", "head", 3, None])
VALUES: st.SearchStrategy[Any] = st.sampled_from(
    [None, 3, "x", b"x", [1, 2], [], {"x": 1}, ops.load, ops.Clean, int, object(), float("nan"), (), "ab.c"]
)
MADE = st.sampled_from(
    [
        lambda: ops.load,
        lambda: ops.plain,
        lambda: ops.split.new(name="cut"),
        lambda: ops.Clean(3),
        lambda: ops.Clean(name="cut", retry_policy=RetryPolicy(2)),
        lambda: ops.Join(),
        lambda: ops.Silent(),
        lambda: ops.Clean,
        lambda: mapped(ops.plain, over="x"),
        lambda: 3,
        lambda: None,
        lambda: len,
    ]
)
STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "add",
                "add",
                "add_operation",
                "call",
                "connect",
                "connect",
                "depend",
                "map",
                "many",
                "parameter",
                "output",
                "nest",
                "replace",
                "variant",
                "compile",
                "run",
                "save",
            ]
        ),
        MADE,
        st.integers(0, 9),
        st.integers(0, 9),
        NAMES,
        NAMES,
        VALUES,
    ),
    max_size=14,
)


def take(step: Any, graph: GraphDefinition, graphs: list[GraphDefinition]) -> None:
    """Do one step; `graphs` are those that there are."""
    what, make, first, second, name, other, value = step
    nodes: list[Any] = [*graph.operations, value]
    source, target = nodes[first % len(nodes)], nodes[second % len(nodes)]
    if what == "add":
        graph.add(make(), **{str(name): source if first % 3 else value})
    elif what == "add_operation":
        graph.add_operation(make())
    elif what == "call":
        with graph:
            make()(source, **({} if second % 2 else {str(other): target}))
    elif what == "connect":
        graph.connect(source, name, target, other)
    elif what == "depend":
        graph.add_dependency(source, target)
    elif what == "map":
        graph.map(make(), over=source if first % 2 else {name: value}, name=other, max_concurrency=second)
    elif what == "many":
        graph.add_many(make(), second, **({} if first % 2 else {str(name): [source] * second}))
    elif what == "parameter":
        graph.parameter(name, int if first % 2 else value, default=value)
    elif what == "output":
        graph.output(name, source if first % 2 else OutputReference(source, other))
    elif what == "nest":
        graph.add(graphs[first % len(graphs)], **{str(name): source})
    elif what == "replace":
        graphs.append(graph.replace(source, make()))
    elif what == "variant":
        graphs.append(graph.with_parameters(**{str(name): value}))
    elif what == "compile":
        graph.compile(targets=None if first % 2 else [source], overrides=[] if second % 2 else [(target, other)])
    elif what == "run":
        ExecutionEngine(max_workers=1).run(graph, parameters={name: value} if first % 2 else None)
    else:
        form = FORMATS[first % 3]
        text = graph.dumps(format=form)
        assert GraphDefinition.loads(text, format=form, allow=ALLOW).dumps(format=form) == text


@pytest.mark.timeout(120)
@thorough
@given(STEPS)
def test_random_definitions_raise_only_documented_errors(steps: list[Any]) -> None:
    graphs, said = [GraphDefinition("a"), GraphDefinition("b")], []
    for number, step in enumerate(steps):
        try:
            take(step, graphs[number % len(graphs)], graphs)
        except DOCUMENTED as error:
            said.append(str(error))
    assert all(said)
    for graph in graphs:
        try:
            graph.validate()
        except DataflowError:
            pass


@thorough
@given(st.data())
def test_random_graphs_come_back_from_files(data: st.DataObject) -> None:
    graph = GraphDefinition(data.draw(st.text(max_size=5).filter(lambda text: text.isprintable())) or None)
    outputs: list[OutputReference] = []
    names = iter(data.draw(st.lists(NAMES_OF_OPERATIONS, min_size=12, max_size=12, unique=True)))
    for _ in range(data.draw(st.integers(0, 8))):
        kind = data.draw(st.integers(0, 4))
        name = data.draw(st.sampled_from([None, next(names)]))
        if kind == 0:
            added: Any = graph.add(ops.accept.new(name=name), value=data.draw(CONSTANTS))
        elif kind == 1:
            limit = data.draw(st.integers())
            added = graph.add(ops.Clean(limit, name=name, priority=data.draw(st.integers(-9, 9))))
        elif kind == 2:
            many = data.draw(st.lists(st.sampled_from([*outputs, b"x", b"y"]), min_size=1, max_size=4))
            added = graph.add(ops.Join(name=name), parts=[one for one in many if fits(one)])
        elif kind == 3:
            added = graph.add(operation(outputs=("one", "two"))(ops.pair).new(name=name), x=data.draw(st.integers()))
        else:
            added = graph.map(ops.plain, over={"x": data.draw(st.lists(st.integers(), max_size=3))}, name=name)
        for before in graph.operations[:-1]:
            if data.draw(st.integers(0, 5)) == 0:
                graph.add_dependency(before, added)
        outputs += [added[port] for port in added.ports.output_index]
    form = data.draw(st.sampled_from(FORMATS))
    try:
        text = graph.dumps(format=form)
    except DefinitionError as error:
        problems = [fault.problem for fault in error.faults]
    else:
        problems = []
    if problems:
        assert any("another operation has the same name" in problem for problem in problems)
        return
    loaded = GraphDefinition.loads(text, format=form, allow=[*ALLOW, "filed_operations:pair"])
    assert loaded.dumps(format=form) == text
    assert loaded.name == graph.name
    assert stable_names(loaded.operations) == stable_names(graph.operations)
    assert loaded._building.builder.edges() == graph._building.builder.edges()
    assert loaded._building.builder.orders() == graph._building.builder.orders()


NAMES_OF_OPERATIONS = st.text(min_size=1, max_size=6) | st.sampled_from(["accept", "Clean_2", "a.b", "no", "1", "~"])
NAMES_OF_OPERATIONS = NAMES_OF_OPERATIONS.filter(lambda text: not any("\ud800" <= sign <= "\udfff" for sign in text))


def fits(source: Any) -> bool:
    """Whether it may be given to an input that takes bytes."""
    return not isinstance(source, OutputReference) or source.operation.ports.outputs[0][1].data_type in (Any, bytes)


# ---------------------------------------------------------------- values

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), TEXTS, st.binary(max_size=5), st.decimals(), st.dates()
) | st.one_of(
    st.datetimes().map(lambda at: at.replace(fold=0)),
    st.times().map(lambda at: at.replace(fold=0)),
    st.timedeltas(),
    st.uuids(),
    st.complex_numbers(allow_nan=False),
)
HASHABLE = st.none() | st.booleans() | st.integers() | TEXTS | st.tuples(st.integers(), TEXTS)
CONSTANTS: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(TEXTS | st.sampled_from(["$x", "$tuple", "a"]), inner, max_size=4)
        | st.dictionaries(HASHABLE, inner, max_size=3)
        | st.tuples(inner, inner)
        | st.frozensets(st.integers() | TEXTS, max_size=3)
    ),
    max_leaves=12,
)


def told(value: Any) -> Any:
    """What two values are compared by: with classes, the order of members, and NaN."""
    if isinstance(value, dict):
        return dict, [(told(name), told(member)) for name, member in value.items()]
    if isinstance(value, list | tuple):
        return type(value), [told(item) for item in value]
    return type(value), value if isinstance(value, frozenset) else repr(value)


@pytest.mark.parametrize("form", FORMATS)
@thorough
@given(CONSTANTS)
@example({"t": {"x": 1}, "u": 1})
@example({"t": None, "u": 1})
@example([{"t": [{"x": 1}], "u": 1}])
@example("\x85 \u2028\n \ufeff\t\x00'\"\\")
def test_value_comes_back_from_a_file(form: Any, value: Any) -> None:
    text = write({"value": Encoder(keeps_order=form != "toml").encode(value)}, form)
    faults = Faults("f")
    located = read(text, form, faults)
    assert told(decode(located.value["value"], ("value",), faults)) == told(value)
    assert not len(faults)


PLAIN: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=20,
)


@thorough
@given(PLAIN, st.sampled_from([None, 0, 2, "\t"]), st.booleans())
def test_json_is_read_as_the_standard_library_reads_it(value: Any, indent: Any, ascii_only: bool) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    assert told(read(text, "json", Faults("f")).plain) == told(json.loads(text))


@pytest.mark.parametrize("form", FORMATS)
@thorough
@given(st.dictionaries(TEXTS, PLAIN, max_size=4))
def test_every_value_is_told_at_its_place(form: Any, document: dict[str, Any]) -> None:
    text = write(document, form)
    lines = text.split("\n")

    def check(located: Located) -> None:
        at = lines[located.line - 1][located.column - 1 :]
        value = located.value
        if isinstance(value, dict | list):
            for member in value.values() if isinstance(value, dict) else value:
                check(member)
        elif isinstance(value, bool):
            assert at.startswith("true" if value else "false")
        elif isinstance(value, int):
            assert at.startswith(str(value)) or at.startswith(hex(value))
        elif isinstance(value, float):
            number = at.split(",")[0].split("]")[0].split("}")[0].strip()
            assert float(number) == value
        elif isinstance(value, str) and value.isalnum() and value.isascii():
            assert at.lstrip("\"'").startswith(value)

    check(read(text, form, Faults("f")))


# ---------------------------------------------------------------- as files

YAML = """\
version: 1
name: etl
parameters: {path: {type: str | None, default: x}}
operations:
  load: {operation: "filed_operations:fetch", inputs: {path: path}, options: {tags: [a], retry_policy: {retry_on: OSError}}}
  clean:
    operation: filed_operations:Clean
    arguments: {limit: 3}
    inputs: {raw: load.result}
    after: [load]
  squares:
    map: {operation: filed_operations:accept, over: [value], max_concurrency: 2}
    constants: {value: {$range: [0, 4, 1]}}
  inner:
    graph: {name: inner, operations: {join: {operation: filed_operations:Join, inputs: {parts: [{constant: {$bytes: eA==}}]}}}}
outputs: {all: clean}
connections: []
dependencies: [[load, squares]]
"""  # noqa: E501
GRAPH = GraphDefinition.loads(YAML, format="yaml", allow=ALLOW)
SEEDS: dict[Any, str] = {"yaml": YAML, "json": GRAPH.dumps(format="json"), "toml": GRAPH.dumps(format="toml")}
PIECES = st.sampled_from(
    [
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        "\n",
        "  ",
        "\t",
        '"',
        "'",
        "&a",
        "*a",
        "!!str ",
        "!x",
        "- ",
        "? ",
        "|\n",
        "#",
        "---\n",
        "NaN",
        ".nan",
        "1e999",
        "9" * 5000,
        "null",
        "$tuple",
        "version",
        "operations",
        "map",
        "graph",
        "\\u0000",
        "\0",
        "\ud800",
        "filed_operations:load",
        "os:system",
        "builtins:eval",
        "a.b",
        "=",
        "[[a]]",
        "\r",
        "\ufeff",
        "inputs",
        "[" * 60,
    ]
)


@st.composite
def mutated(draw: st.DrawFn, form: Any) -> str:
    """A definition with some pieces taken out, put in, or put elsewhere."""
    text = SEEDS[form]
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 12)))
        piece = draw(PIECES | st.text(max_size=3))
        if draw(st.booleans()):
            other = draw(st.integers(0, len(text)))
            piece = text[other : other + draw(st.integers(0, 40))]
        text = text[:start] + piece + text[end:]
    return text


def load(text: str, form: Any) -> None:
    """Read a text as a definition: it is one, or an error says with a place what is wrong."""
    ops.TOUCHED.clear()
    try:
        graph = GraphDefinition.loads(text, format=form, allow=["filed_operations"])
    except DefinitionError as error:
        faults = error.faults
    else:
        faults = ()
        try:
            graph.compile()
        except DataflowError:
            pass
    for fault in faults:
        assert fault.problem
        assert "Traceback" not in str(fault)
        assert fault.line is None or (fault.line >= 1 and fault.column is not None and fault.column >= 1)
    assert ops.TOUCHED == []


@pytest.mark.timeout(120)
@pytest.mark.parametrize("form", FORMATS)
@thorough
@given(st.data())
def test_mutated_files_raise_only_documented_errors(form: Any, data: st.DataObject) -> None:
    load(data.draw(mutated(form)), form)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("form", FORMATS)
@thorough
@given(st.lists(PIECES | st.text(max_size=8), max_size=12).map("".join))
def test_random_texts_raise_only_documented_errors(form: Any, text: str) -> None:
    load(text, form)


WORDS = st.sampled_from(
    [
        "version",
        "name",
        "parameters",
        "operations",
        "outputs",
        "connections",
        "dependencies",
        "operation",
        "map",
        "graph",
        "parameter",
        "inputs",
        "constants",
        "after",
        "options",
        "arguments",
        "over",
        "a",
        "b",
        "$tuple",
        "$dict",
        "constant",
        "retry_policy",
        "on_failure",
        "value",
        "function",
        "max_attempts",
        "rate_limit",
        "type",
        "default",
        "raw",
        "path",
    ]
)
LEAVES = st.sampled_from(
    [
        1,
        None,
        True,
        "a",
        "a.b",
        "b.result",
        "filed_operations:load",
        "filed_operations:Clean",
        "filed_operations:Join",
        "filed_operations:Broken",
        "filed_operations:Settings",
        "x:y",
        "int",
        "list[int]",
        2**70,
        -1,
        0.5,
        "",
        "$x",
    ]
)
DOCUMENTS: st.SearchStrategy[Any] = st.recursive(
    LEAVES, lambda inner: st.dictionaries(WORDS, inner, max_size=4) | st.lists(inner, max_size=3), max_leaves=25
)
ENTRIES = st.dictionaries(WORDS, DOCUMENTS, max_size=4)


@pytest.mark.timeout(120)
@thorough
@given(DOCUMENTS, st.dictionaries(WORDS, ENTRIES, max_size=4), st.dictionaries(WORDS, DOCUMENTS, max_size=3))
@example({}, {"a": {"operation": "filed_operations:Settings", "arguments": {"self": 1, "cls": 2}}}, {})
def test_documents_of_any_shape_raise_only_documented_errors(rest: Any, operations: Any, others: Any) -> None:
    document = {**(rest if isinstance(rest, dict) else {}), **others, "version": 1, "operations": operations}
    load(json.dumps(document), "json")
