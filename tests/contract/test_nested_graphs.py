"""A graph is an operation of another graph, and the plan has its operations alone (rules G5 and G6)."""

from __future__ import annotations

from typing import Any

import pytest

from execution_dataflow import (
    ChannelError,
    CycleError,
    DuplicateNameError,
    Event,
    ExecutionContext,
    ExecutionEngine,
    GraphDefinition,
    GraphError,
    GraphValidationError,
    InputPort,
    Operation,
    OperationEvent,
    OutputPort,
    PortError,
    PortTypeError,
    UnconnectedInputError,
    UnknownOperationError,
    operation,
)


@operation
def add(a: int, b: int) -> int:
    return a + b


@operation
def double(x: int) -> int:
    return 2 * x


class Divide(Operation):
    number, by = InputPort(int), InputPort(int, default=10)
    quotient, rest = OutputPort(int), OutputPort(int, optional=True)

    def execute(self, context: ExecutionContext) -> None:
        self.quotient = self.number // self.by
        if self.number % self.by:
            self.rest = self.number % self.by


def arithmetic() -> GraphDefinition:
    """Return (2 x + y) // 10, and the rest if there is one."""
    graph = GraphDefinition("arithmetic")
    x, y = graph.parameter("x", int), graph.parameter("y", int, default=1)
    graph.add(Divide(), number=graph.add(add, a=graph.add(double, x=x), b=y))
    return graph


def test_operations_of_nested_graphs_have_paths_for_names() -> None:
    graph = GraphDefinition("outer")
    first = graph.add(arithmetic(), x=7)
    second = graph.add(arithmetic().as_operation("again"), x=first["quotient"], y=8)
    graph.add(double, x=second["quotient"])
    plan = graph.compile()
    assert plan.names == (
        "arithmetic/double",
        "arithmetic/add",
        "arithmetic/Divide",
        "again/double",
        "again/add",
        "again/Divide",
        "double",
    )
    result = ExecutionEngine().run(plan, retain="all")
    assert result.get_output(first, "rest") == 5
    assert result.get_output("again/Divide", "quotient") == 1
    assert result.get_output("double") == 2
    assert result.get_state("again/add").name == "SUCCEEDED"


def test_graphs_nest_to_any_depth() -> None:
    graph = arithmetic()
    output = "quotient"
    for depth in range(1, 30):
        outer = GraphDefinition(f"level{depth}")
        x = outer.parameter("x", int)
        inner = outer.add(graph.as_operation("inner"), x=x)
        outer.output("doubled", outer.add(double, x=inner[output]))
        graph, output = outer, "doubled"
    plan = graph.compile()
    assert len(plan) == 3 + 29
    assert plan.names[0] == "inner/" * 29 + "double"
    # (2 * 500 + 1) // 10, doubled in each level.
    assert ExecutionEngine().run(graph, parameters={"x": 500}).values == {"doubled": 100 * 2**29}


def test_inputs_that_nothing_feeds_are_inputs_of_the_operation() -> None:
    inner = GraphDefinition("inner")
    total = inner.add(add, b=1)
    inner.add(double, x=total)
    inner.add(double)
    nested = inner.as_operation()
    assert list(nested.ports.input_index) == ["a", "x"]
    assert list(nested.ports.output_index) == ["double_result", "double_2_result"]
    graph = GraphDefinition("outer")
    graph.add(nested, a=4)
    with pytest.raises(GraphValidationError) as caught:
        graph.compile()
    (fault,) = caught.value.faults
    assert isinstance(fault, UnconnectedInputError)
    assert "inner/double_2.x" in str(fault)
    graph.connect(graph.add(add, a=1, b=2), "result", nested, "x")
    result = ExecutionEngine().run(graph)
    assert (result.get_output(nested, "double_result"), result.get_output(nested, "double_2_result")) == (10, 6)


def test_what_is_handed_down_through_several_graphs_arrives() -> None:
    inner = GraphDefinition("inner")
    inner.add(add, b=1)
    middle = GraphDefinition("middle")
    middle.add(inner)
    outer = GraphDefinition("outer")
    source = outer.parameter("start", int)
    outer.add(middle, a=source)
    assert ExecutionEngine().run(outer, parameters={"start": 3}).values == {"result": 4}


def test_input_of_many_sources_takes_them_through_the_nested_graph() -> None:
    class Gather(Operation):
        items = InputPort(int, many=True)
        gathered = OutputPort(list)

        def execute(self, context: ExecutionContext) -> None:
            self.gathered = list(self.items)

    inner = GraphDefinition("inner")
    inner.add(Gather())
    graph = GraphDefinition("outer")
    one = graph.add(double, x=1)
    nested = graph.add(inner, items=[one, 7, one])
    assert ExecutionEngine().run(graph).get_output(nested) == [2, 7, 2]


def test_branch_that_is_not_taken_skips_what_follows_across_graphs() -> None:
    graph = GraphDefinition("outer")
    first = graph.add(arithmetic(), x=10, y=0)
    after = graph.add(double, x=first["rest"])
    result = ExecutionEngine().run(graph)
    assert result.get_state(after).name == "SKIPPED"


def test_order_between_nested_graphs_holds_for_their_operations() -> None:
    for workers in (1, 2):
        seen: list[str] = []
        graph = GraphDefinition("outer")

        def note(name: str, seen: list[str] = seen) -> str:
            seen.append(name)
            return name

        def group(letter: str) -> GraphDefinition:
            made = GraphDefinition(letter)
            for number in range(3):
                made.add(note, name=f"{letter}{number}")
            return made

        late, early = graph.add(group("late")), graph.add(group("early"))
        single = graph.add(note, name="single")
        graph.add_dependency(early, single)
        graph.add_dependency(single, late)
        ExecutionEngine(max_workers=workers).run(graph).raise_if_failed()
        assert [name[:4] for name in seen] == ["earl"] * 3 + ["sing"] + ["late"] * 3


def test_declared_outputs_are_what_is_seen_from_outside() -> None:
    inner = arithmetic()
    inner.output("whole", inner.operations[-1]["quotient"])
    inner.output("sum_of_both", inner.operations[3])
    nested = inner.as_operation()
    assert list(nested.ports.output_index) == ["whole", "sum_of_both"]
    graph = GraphDefinition("outer")
    graph.add(nested, x=7)
    graph.output("both", nested["sum_of_both"])
    assert ExecutionEngine().run(graph).values == {"both": 15}
    assert ExecutionEngine().run(inner, parameters={"x": 7}).values == {"whole": 1, "sum_of_both": 15}


def test_graph_that_is_nested_twice_has_its_operations_twice() -> None:
    inner = arithmetic()
    graph = GraphDefinition("outer")
    graph.add(inner.as_operation("one"), x=1)
    graph.add(inner.as_operation("two"), x=2)
    result = ExecutionEngine().run(graph)
    assert [result.get_output(f"{name}/Divide", "rest") for name in ("one", "two")] == [3, 5]
    with pytest.raises(UnknownOperationError, match="part of this graph 2 times; say which one by its path: 'one/Div"):
        result.get_state(inner.operations[-1])


def test_nested_graph_whose_halves_are_independent_may_feed_itself() -> None:
    inner = GraphDefinition("halves")
    for name in ("a", "b"):
        inner.output(f"from_{name}", inner.add(operation(lambda x: x + 1, name=name), x=inner.parameter(name, int)))
    graph = GraphDefinition("outer")
    halves = graph.add(inner, a=1)
    graph.connect(halves, "from_a", halves, "b")
    assert ExecutionEngine().run(graph).get_output(halves["from_b"]) == 3

    same = GraphDefinition("outer")
    halves = same.add(inner, a=1)
    same.connect(halves, "from_b", halves, "b")
    with pytest.raises(GraphValidationError, match=r"cycle.*halves/b"):
        same.compile()
    around = GraphDefinition("outer")
    halves = around.add(inner)
    around.connect(halves, "from_a", halves, "b")
    around.connect(halves, "from_b", halves, "a")
    with pytest.raises(GraphValidationError, match=r"cycle.*halves/"):
        around.compile()
    new = inner.as_operation()
    with pytest.raises(ChannelError, match=r"halves cannot feed its own input 'b': add it first"):
        around.add(new, a=1, b=new["from_a"])
    with pytest.raises(ChannelError, match=r"halves_2 cannot feed its own input 'b': add it first"):
        around.connect_many([around.add(new, a=1)], "from_a", [new], "b")


def test_change_of_a_nested_graph_is_seen_by_the_graph_around_it() -> None:
    inner = arithmetic()
    graph = GraphDefinition("outer")
    graph.add(inner, x=1)
    before = graph.compile()
    assert graph.compile() is before
    inner.add(double, x=inner.operations[2])
    with pytest.raises(GraphValidationError, match="has got other inputs or outputs since it was nested"):
        graph.compile()


def test_options_of_operations_hold_in_a_nested_graph() -> None:
    tries: list[int] = []

    @operation(executor="thread", on_failure=41)
    def fails() -> int:
        tries.append(1)
        raise ValueError("no")

    inner = GraphDefinition("inner")
    inner.add(add, a=inner.add(fails), b=1)
    graph = GraphDefinition("outer")
    nested = graph.add(inner)
    result = ExecutionEngine().run(graph)
    assert (result.get_output(nested), len(tries)) == (42, 1)
    assert result.fallbacks[0].operation == "inner/fails"


def test_failure_inside_is_told_by_its_path_in_errors_and_events() -> None:
    def fails(x: int) -> int:
        raise ValueError("no")

    inner = GraphDefinition("inner")
    inner.add(double, x=inner.add(fails, x=inner.parameter("x", int)))
    graph = GraphDefinition("outer")
    graph.add(inner, x=1)
    names = []
    with ExecutionEngine(failure_policy="continue") as engine:
        engine.subscribe(lambda event: names.append(event.operation), OperationEvent)
        result = engine.run(graph)
    assert names == ["inner/fails", "inner/fails", "inner/double"]
    assert result.first_error is not None
    assert result.first_error.operation == "inner/fails"
    assert result.blame("inner/double") == "inner/fails"
    assert issubclass(OperationEvent, Event)


def test_random_streams_follow_the_path() -> None:
    @operation
    def draw(context: ExecutionContext) -> float:
        return float(context.rng().random())

    inner = GraphDefinition("inner")
    inner.add(draw)
    graph = GraphDefinition("outer")
    one, two = graph.add(inner.as_operation("one")), graph.add(inner.as_operation("two"))
    draws = []
    for _ in range(2):
        result = ExecutionEngine().run(graph, ExecutionContext(seed=7))
        draws.append((result.get_output(one), result.get_output(two)))
    assert draws[0] == draws[1]
    assert draws[0][0] != draws[0][1]


def test_bad_nesting_is_refused_by_name() -> None:
    graph = GraphDefinition("outer")
    with pytest.raises(PortTypeError, match=r"the constant for arithmetic\.x is wrong"):
        graph.add(arithmetic(), x="one")
    with pytest.raises(TypeError, match="unexpected keyword"):
        arithmetic().as_operation(retry_policy=None)  # type: ignore[call-arg]
    loop = GraphDefinition("loop")
    loop.add(loop)
    with pytest.raises(GraphValidationError, match="a graph cannot be nested in itself: 'loop' in 'loop'"):
        loop.compile()
    one, two = GraphDefinition("one"), GraphDefinition("two")
    one.add(two)
    two.add(one)
    with pytest.raises(GraphValidationError, match="cannot be nested in itself"):
        two.compile()


def test_graphs_nested_too_deep_are_refused_with_the_limit() -> None:
    inner = GraphDefinition("innermost")
    inner.output("positive", inner.add(abs, x=-1))
    for depth in range(1, 602):
        outer = GraphDefinition(f"g{depth}")
        outer.output("positive", outer.add(inner)["positive"])
        inner = outer
        if depth == 300:
            assert ExecutionEngine().run(outer).values == {"positive": 1}
        if depth in (301, 600):
            with pytest.raises(GraphValidationError, match="nested too deep: within 301 others, and 300 are possible"):
                outer.compile()


def test_cycle_through_nested_graphs_is_found_with_its_paths() -> None:
    graph = GraphDefinition("outer")
    one, two = graph.add(arithmetic().as_operation("one")), graph.add(arithmetic().as_operation("two"))
    graph.connect(one, "quotient", two, "x")
    graph.connect(two, "quotient", one, "x")
    with pytest.raises(GraphValidationError) as caught:
        graph.compile()
    (fault,) = caught.value.faults
    assert isinstance(fault, CycleError)
    assert {"one/double.result", "two/double.result"} < set(fault.path)


def test_crossing_of_nested_graphs_that_is_no_cycle_runs() -> None:
    # Two ways through each graph: what looks like a cycle from outside is none.
    def two_ways(name: str) -> GraphDefinition:
        made = GraphDefinition(name)
        for letter in "ab":
            made.output(letter, made.add(double, x=made.parameter(f"in_{letter}", int)))
        return made

    graph = GraphDefinition("outer")
    one, two = graph.add(two_ways("one"), in_a=1), graph.add(two_ways("two"))
    graph.connect(one, "a", two, "in_a")
    graph.connect(two, "a", one, "in_b")
    graph.connect(one, "b", two, "in_b")
    assert ExecutionEngine().run(graph).get_output(two, "b") == 16


def test_names_that_come_twice_are_told_with_their_graph() -> None:
    inner = GraphDefinition("inner")
    inner.add(double.new(name="twin"), x=1)
    inner.add(double.new(name="twin"), x=2)
    graph = GraphDefinition("outer")
    graph.add(inner)
    with pytest.raises(GraphValidationError) as caught:
        graph.compile()
    assert [type(fault) for fault in caught.value.faults] == [DuplicateNameError]
    assert "several operations of graph 'inner' are named 'twin'" in str(caught.value)
    twice = GraphDefinition("twice")
    twice.add(arithmetic().as_operation("a"), x=1)
    twice.add(double.new(name="a/double"), x=1)
    with pytest.raises(GraphValidationError, match="several operations have the path 'a/double'"):
        twice.compile()


def test_inputs_that_would_have_one_name_are_refused_with_advice() -> None:
    inner = GraphDefinition("inner")
    inner.parameter("double_x", int)
    inner.parameter("x", int)
    inner.add(double)
    with pytest.raises(PortError, match=r"has 2 inputs 'double_x'; name them with graph\.parameter\(\)"):
        inner.as_operation()


@pytest.mark.parametrize("executor", ["thread", "inline", "process"])
def test_graph_runs_for_each_item_of_a_map(executor: str) -> None:
    inner, graph = GraphDefinition("inner"), GraphDefinition("outer")
    x, offset = inner.parameter("x", int), inner.parameter("offset", int, default=1)
    inner.output("total", inner.add(add, a=inner.add(double, x=x), b=offset))
    totals = graph.map(inner, over={"x": range(4)})
    others = graph.map(inner.as_operation("other"), over={"x": [1, 2]}, offset=graph.add(double, x=5))
    names = []
    with ExecutionEngine(max_workers=2, executor=executor) as engine:
        engine.subscribe(lambda event: names.append(event.operation), OperationEvent)
        result = engine.run(graph)
    result.raise_if_failed()
    assert (result.get_output(totals), result.get_output(others)) == ([1, 3, 5, 7], [12, 14])
    assert {"inner[3]/double", "inner[3]/add", "other[0]/add"} < set(names)


def test_failure_in_a_graph_of_a_map_is_told_by_item_and_path() -> None:
    inner, graph = GraphDefinition("inner"), GraphDefinition("outer")
    inner.add(double, x=inner.add(lambda x: 6 // x, x=inner.parameter("x", int)))
    halves = graph.map(inner, over={"x": [1, 0, 3]}, on_error="keep")
    items = ExecutionEngine().run(graph).get_output(halves)
    assert (items[0], items[2]) == (12, 4)
    assert "inner[1]/lambda" in str(items[1].error)


def test_graph_with_an_input_that_nothing_feeds_is_not_mapped() -> None:
    inner = GraphDefinition("inner")
    inner.add(double)
    with pytest.raises(GraphError, match=r"nothing feeds its input 'x'; declare it with graph\.parameter\('x'\)"):
        GraphDefinition().map(inner, over={"x": [1]})


def test_nested_graph_stands_in_for_nobody() -> None:
    inner, graph = GraphDefinition("inner"), GraphDefinition("outer")
    inner.add(double, x=1)
    graph.add(operation(lambda: 1, on_failure=inner.as_operation()))
    with pytest.raises(GraphValidationError, match="inner is a nested graph, which is added to a graph as it is"):
        graph.compile()


def test_result_keeps_what_a_nested_graph_sets_when_asked_to() -> None:
    graph = GraphDefinition("outer")
    nested = graph.add(arithmetic(), x=7)
    graph.add(double, x=nested["quotient"])
    for retain in ([nested], [nested["quotient"]], ["arithmetic/Divide"], "all"):
        result = ExecutionEngine().run(graph, retain=retain)
        assert result.get_output(nested["quotient"]) == 1


def test_what_looks_at_graphs_looks_into_nested_ones() -> None:
    graph = GraphDefinition("outer")
    x = graph.parameter("x", int)
    one = graph.add(arithmetic().as_operation("one"), x=x)
    two = graph.add(arithmetic().as_operation("two"), x=one["quotient"])
    last = graph.add(double, x=two["quotient"])
    assert graph.upstream_of(two) == ("one/double", "one/add", "one/Divide", "two/double", "two/add")
    (_, *_, step) = graph.path_between("one/double", last)
    assert (step.source, step.target) == ("two/Divide", "double")
    assert str(graph.diff(graph.with_parameters(x=3))) == "parameter x: int -> int = 3"
    assert "subgraph" in graph.to_mermaid()


def test_nesting_costs_a_run_nothing() -> None:
    inner, flat = GraphDefinition("inner"), GraphDefinition("flat")
    for graph in (inner, flat):
        node: Any = graph.add(double, x=1)
        for _ in range(50):
            node = graph.add(double, x=node)
    outer = GraphDefinition("outer")
    outer.add(inner)
    nested, plain = outer.compile(), flat.compile()
    assert len(nested) == len(plain) == 51
    assert nested.core.order() == plain.core.order()
    assert nested.specs == plain.specs
