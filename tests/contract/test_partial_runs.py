"""A run may want a part of its graph, and be given values in the place of what operations would make."""

from __future__ import annotations

from typing import Any

import pytest

from execution_dataflow import (
    ExecutionContext,
    ExecutionEngine,
    GraphDefinition,
    InputPort,
    Operation,
    OutputPort,
    ParameterError,
    PortError,
    PortTypeError,
    UnknownOperationError,
    UnknownPortError,
    operation,
)


@operation
def double(x: int) -> int:
    return 2 * x


@operation
def add(a: int, b: int) -> int:
    return a + b


class Split(Operation):
    number = InputPort(int)
    tens, ones = OutputPort(int), OutputPort(int)

    def execute(self, context: ExecutionContext) -> None:
        self.tens, self.ones = divmod(self.number, 10)


class Pipeline:
    """x -> double -> Split -> add(tens, ones); and a report of x beside it."""

    def __init__(self) -> None:
        self.graph = graph = GraphDefinition("pipeline")
        self.x = graph.parameter("x", int, default=12)
        self.double = graph.add(double, x=self.x)
        self.split = graph.add(Split(), number=self.double)
        self.add = graph.add(add, a=self.split["tens"], b=self.split["ones"])
        self.report = graph.add(repr, obj=self.x)


@pytest.fixture
def pipeline() -> Pipeline:
    return Pipeline()


def ran(graph: GraphDefinition, **options: Any) -> list[str]:
    result = ExecutionEngine().run(graph, **options)
    result.raise_if_failed()
    return list(result.states)


def test_only_targets_and_what_they_need_run(pipeline: Pipeline) -> None:
    graph = pipeline.graph
    assert ran(graph, targets=[pipeline.report]) == ["repr"]
    assert ran(graph, targets=["Split"]) == ["double", "Split"]
    assert ran(graph, targets=[pipeline.split["ones"], "double"]) == ["double", "Split"]
    assert ran(graph, targets=[(pipeline.add, "result")]) == ["double", "Split", "add"]
    assert ran(graph, targets=[]) == []
    assert len(ran(graph)) == 4


def test_values_of_targets_are_kept(pipeline: Pipeline) -> None:
    result = ExecutionEngine().run(pipeline.graph, targets=["double", "add"])
    assert result.get_output("double") == 24
    assert result.values == {"double.result": 24, "add.result": 6}
    with pytest.raises(UnknownOperationError, match="'repr' has not run: it is no target of this run, and no target"):
        result.get_output("repr")
    with pytest.raises(UnknownOperationError, match="'repr' has not run"):
        result.get_state(pipeline.report)


def test_order_only_dependencies_are_needed_too(pipeline: Pipeline) -> None:
    pipeline.graph.add_dependency(pipeline.report, pipeline.double)
    assert ran(pipeline.graph, targets=["double"]) == ["double", "repr"]


def test_override_of_an_output_stands_for_what_makes_it(pipeline: Pipeline) -> None:
    graph = pipeline.graph
    for key in (pipeline.double, pipeline.double["result"], (pipeline.double, "result"), "double.result"):
        result = ExecutionEngine().run(graph, overrides={key: 57})
        assert list(result.states) == ["Split", "add", "repr"]
        assert result.get_output(pipeline.add) == 12
    result = ExecutionEngine().run(graph, overrides={"Split.tens": 1, "Split.ones": 2}, targets=["add"])
    assert (list(result.states), result.get_output("add")) == (["add"], 3)
    result = ExecutionEngine().run(graph, overrides={"Split.tens": 100})
    assert (len(result.states), result.get_output("add")) == (4, 104)


def test_override_of_an_input_leaves_other_consumers_alone(pipeline: Pipeline) -> None:
    graph = pipeline.graph
    other = graph.add(double, x=pipeline.double)
    result = ExecutionEngine().run(graph, overrides={(pipeline.split, "number"): 99, "add.b": 1})
    assert (result.get_output(pipeline.add), result.get_output(other)) == (10, 48)


def test_override_completes_a_graph_whose_inputs_are_open() -> None:
    graph = GraphDefinition()
    node = graph.add(double)
    assert ExecutionEngine().run(graph, overrides={"double.x": 4}).get_output(node) == 8


def test_plan_of_a_part_runs_with_other_values_each_time(pipeline: Pipeline) -> None:
    plan = pipeline.graph.compile(targets=["add"], overrides=["double.result"])
    engine = ExecutionEngine()
    totals = [engine.run(plan, overrides={"double.result": value}).get_output("add") for value in (57, 10)]
    assert totals == [12, 1]
    with pytest.raises(UnknownPortError, match=r"The plan needs overrides=\{'double.result': \.\.\.\}"):
        engine.run(plan)
    with pytest.raises(UnknownPortError, match="A plan has the overrides of its compile"):
        engine.run(plan, overrides={"Split.ones": 3})
    with pytest.raises(TypeError, match=r"graph\.compile\(targets=\.\.\.\)"):
        engine.run(plan, targets=["add"])


def test_parts_of_nested_graphs_are_named_by_their_paths() -> None:
    inner = Pipeline().graph
    graph = GraphDefinition("outer")
    one, two = graph.add(inner.as_operation("one"), x=1), graph.add(inner.as_operation("two"), x=2)
    graph.add(add, a=one["add_result"], b=two["add_result"])
    assert ran(graph, targets=["one/Split"]) == ["one/double", "one/Split"]
    assert ran(graph, targets=["two"]) == ["two/double", "two/Split", "two/add", "two/repr"]
    assert ran(graph, targets=[two["repr_result"]]) == ["two/repr"]
    result = ExecutionEngine().run(graph, overrides={one["add_result"]: 40, "two/double.result": 2}, targets=["add"])
    assert (list(result.states), result.values) == (["two/Split", "two/add", "add"], {"result": 42})


def test_operation_and_its_only_output_are_overridden_by_its_name(pipeline: Pipeline) -> None:
    result = ExecutionEngine().run(pipeline.graph, overrides={"double": 57})
    assert (list(result.states), result.get_output("add")) == (["Split", "add", "repr"], 12)
    assert ran(pipeline.graph, targets=["Split.tens"]) == ["double", "Split"]
    with pytest.raises(PortError, match="Split has 2 outputs; say which"):
        ExecutionEngine().run(pipeline.graph, overrides={"Split": 1})


class Nested:
    """A graph with an output and an operation beside it, between two operations of another one."""

    def __init__(self) -> None:
        inner = GraphDefinition("inner")
        x = inner.parameter("x", int, default=1)
        inner.output("twice", inner.add(double, x=x))
        inner.add(repr, obj=x)
        self.graph = GraphDefinition("outer")
        self.source = self.graph.add(double.new(name="source"), x=4)
        self.inner = self.graph.add(inner, x=self.source)
        self.last = self.graph.add(double.new(name="last"), x=self.inner)


def test_outputs_of_nested_graphs_are_named_as_those_of_operations() -> None:
    nested = Nested()
    for target in ("inner.twice", nested.inner["twice"], (nested.inner, "twice")):
        assert ran(nested.graph, targets=[target]) == ["source", "inner/double"]
    for key in ("inner.twice", "inner", nested.inner, nested.inner["twice"], (nested.inner, "twice")):
        result = ExecutionEngine().run(nested.graph, overrides={key: 5})
        assert (list(result.states), result.get_output("last")) == (["source", "inner/repr", "last"], 10)
    with pytest.raises(UnknownPortError, match="inner has no output port 'twce'; did you mean 'twice'"):
        ExecutionEngine().run(nested.graph, targets=["inner.twce"])


def test_nested_graph_as_a_target_is_all_its_operations() -> None:
    nested = Nested()
    for target in (nested.inner, "inner"):
        assert ran(nested.graph, targets=[target]) == ["source", "inner/double", "inner/repr"]


def test_override_of_an_input_of_a_nested_graph_is_given_to_all_that_take_it() -> None:
    nested = Nested()
    around = GraphDefinition("around")
    outer = around.add(nested.graph)
    for graph, path, key in (
        (nested.graph, "", (nested.inner, "x")),
        (nested.graph, "", "inner.x"),
        (around, "outer/", "outer/inner.x"),
        (around, "outer/", (nested.inner, "x")),
    ):
        result = ExecutionEngine().run(graph, overrides={key: 5})
        assert list(result.states) == [f"{path}{name}" for name in ("inner/double", "inner/repr", "last")]
        assert (result.get_output(f"{path}last"), result.get_output(f"{path}inner/repr")) == (20, "5")
    assert ran(around, targets=[outer], overrides={"outer/last.x": 1, "outer/inner.x": 2})[0] == "outer/source"
    with pytest.raises(PortTypeError, match=r"the override of inner\.x is wrong: expected int, got str"):
        ExecutionEngine().run(nested.graph, overrides={"inner.x": "5"})
    with pytest.raises(UnknownPortError, match="inner has no output port 'y'"):
        ExecutionEngine().run(nested.graph, overrides={"inner.y": 5})


def test_plan_of_a_part_is_given_values_by_what_its_ports_were_called() -> None:
    nested = Nested()
    for key in ("inner", "inner.x", (nested.inner, "x"), nested.source, "source.x"):
        plan = nested.graph.compile(overrides=[key])
        assert ExecutionEngine().run(plan, overrides={key: 5}).is_successful()


def test_several_targets_are_wanted_and_not_one(pipeline: Pipeline) -> None:
    with pytest.raises(TypeError, match=r"targets= takes a list, such as targets=\['add'\], and not"):
        ExecutionEngine().run(pipeline.graph, targets="add")
    for single in (pipeline.add, pipeline.split["ones"]):
        with pytest.raises(TypeError, match=r"targets= takes a list, such as targets=\[\.\.\.\]"):
            pipeline.graph.compile(targets=single)  # type: ignore[arg-type]


def test_nothing_else_changes_in_a_part(pipeline: Pipeline) -> None:
    def cleans(context: ExecutionContext) -> str:
        return "clean"

    graph = pipeline.graph
    clean = graph.add(operation(cleans, name="clean", always_run=True))
    graph.add_dependency(pipeline.add, clean)
    assert ran(graph) == ["double", "Split", "add", "repr", "clean"]
    result = ExecutionEngine(failure_policy="continue").run(
        graph.replace("double", operation(lambda x: 1 // 0, name="double")), targets=["clean"]
    )
    assert {name: state.name for name, state in result.states.items()} == {
        "double": "FAILED",
        "Split": "UPSTREAM_FAILED",
        "add": "UPSTREAM_FAILED",
        "clean": "SUCCEEDED",
    }


def test_what_does_not_exist_is_told_before_anything_runs(pipeline: Pipeline) -> None:
    graph, engine = pipeline.graph, ExecutionEngine()
    with pytest.raises(UnknownOperationError, match="no operation or output 'splt'; did you mean 'Split'"):
        engine.run(graph, targets=["splt"])
    with pytest.raises(UnknownPortError, match="Split has no output port 'on'"):
        engine.run(graph, targets=[(pipeline.split, "on")])
    with pytest.raises(UnknownPortError, match="'on'"):
        engine.run(graph, overrides={"Split.on": 1})
    with pytest.raises(UnknownOperationError, match="'x' is a parameter; give its value with parameters="):
        engine.run(graph, overrides={pipeline.x: 1})
    with pytest.raises(PortError, match="Split has 2 outputs; say which"):
        engine.run(graph, overrides={pipeline.split: 1})
    with pytest.raises(PortTypeError, match=r"the override of double\.result is wrong: expected int, got str"):
        engine.run(graph, overrides={pipeline.double: "1"})
    with pytest.raises(TypeError, match="targets= takes operations"):
        engine.run(graph, targets=[3])
    with pytest.raises(TypeError, match="overrides= is a mapping"):
        engine.run(graph, overrides=["double"])  # type: ignore[arg-type]
    with pytest.raises(UnknownOperationError, match="add is not an operation of pipeline"):
        engine.run(graph, targets=[Pipeline().add])
    with pytest.raises(ParameterError, match="parameter 'x' is wrong"):
        engine.run(graph, targets=["double"], parameters={"x": "1"})


def test_replacement_takes_the_place_by_the_names_of_ports(pipeline: Pipeline) -> None:
    @operation
    def subtract(b: int, a: int, scale: int = 10) -> int:
        return scale * (a - b)

    graph = pipeline.graph.replace(pipeline.add, subtract)
    assert ExecutionEngine().run(graph).get_output("subtract") == 10 * (2 - 4)
    assert ExecutionEngine().run(pipeline.graph).get_output("add") == 6
    shown = pipeline.graph.replace("repr", operation(lambda obj: f"<{obj}>", name="show"))
    assert ExecutionEngine().run(shown).get_output("show") == "<12>"


def test_replacement_without_a_port_that_is_used_is_refused(pipeline: Pipeline) -> None:
    with pytest.raises(UnknownPortError, match="has no input port 'b'"):
        pipeline.graph.replace("add", operation(lambda a: a, name="half"))
    with pytest.raises(PortTypeError):
        pipeline.graph.replace("double", as_text)
    with pytest.raises(UnknownOperationError, match="'sub' is not an operation of pipeline"):
        pipeline.graph.replace("sub", double)


@operation
def as_text(x: int) -> str:
    return str(x)


def test_replacement_keeps_constants_orders_and_outputs() -> None:
    graph = GraphDefinition("one")
    first, second = graph.add(double, x=3), graph.add(double.new(name="second"), x=4)
    graph.add_dependency(second, first)
    graph.output("kept", first)

    @operation
    def triple(x: int) -> int:
        return 3 * x

    changed = graph.replace("double", triple)
    assert ExecutionEngine(max_workers=1).run(changed).values == {"kept": 9}
    assert changed.compile().order[0] is second
    with pytest.raises(PortTypeError, match=r"the constant for str_only\.x is wrong"):
        graph.replace("double", str_only)


@operation
def str_only(x: str) -> int:
    return len(x)
