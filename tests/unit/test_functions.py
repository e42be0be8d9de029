"""Functions as operations (rule G1)."""

from __future__ import annotations

import copy
import functools
import inspect
import pickle
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from execution_dataflow._core import MISSING
from execution_dataflow.engine import ExecutionEngine
from execution_dataflow.errors import GraphError, PortError
from execution_dataflow.functions import FunctionOperation, OperationFunction, operation
from execution_dataflow.graph import GraphDefinition
from execution_dataflow.parameters import is_coroutine_function
from execution_dataflow.policies import RetryPolicy

if TYPE_CHECKING:
    from nowhere import Mystery  # type: ignore[import-not-found]

    from execution_dataflow.context import ExecutionContext


@operation
def load(path: str, limit: int = 10) -> bytes:
    """Load a file."""
    return path.encode() * limit


@operation(name="trim", retry_policy=RetryPolicy(max_attempts=2), priority=3)
def strip(text: str) -> str:
    return text.strip()


@operation(outputs=("low", "high"))
def limits(values: list[int]) -> tuple[int, int]:
    return min(values), max(values)


@operation
async def fetch(url: str) -> bytes:
    return url.encode()


def double(x: int) -> int:
    return 2 * x


def inputs_of(function: Any) -> dict[str, Any]:
    return {name: port.data_type for name, port in operation(function).ports.inputs}


def value_of(function: Any, **inputs: Any) -> Any:
    graph = GraphDefinition()
    added = graph.add(function, **inputs)
    return ExecutionEngine().run(graph).get_output(added)


def test_a_decorated_function_is_still_a_function() -> None:
    """G1."""
    assert load("ab", limit=2) == b"abab"
    assert load.__name__ == "load"
    assert load.__doc__ == "Load a file."
    assert list(inspect.signature(load).parameters) == ["path", "limit"]
    assert inspect.unwrap(load) is load.function


def test_parameters_are_input_ports_and_a_default_makes_one_optional() -> None:
    """G1."""
    assert repr(load.ports) == "<ports of load: (path: str, limit: int) -> (result: bytes)>"
    assert load.ports.input_flags == b"\0\1"
    assert load.ports.input_defaults == (MISSING, 10)


def test_a_tuple_is_one_value_unless_outputs_are_named() -> None:
    """G1."""

    @operation
    def pair() -> tuple[int, str]:
        return 1, "a"

    assert repr(pair.ports) == "<ports of pair: () -> (result: tuple[int, str])>"
    assert repr(limits.ports) == "<ports of limits: (values: list[int]) -> (low: int, high: int)>"
    assert (pair.spread, limits.spread) == (False, True)


def test_the_one_output_can_be_renamed() -> None:
    @operation(outputs="rows")
    def read() -> list[int]:
        return []

    assert repr(read.ports) == "<ports of read: () -> (rows: list[int])>"
    assert not read.spread


def test_outputs_without_a_fitting_annotation_take_anything() -> None:
    assert repr(operation(outputs=("a", "b"))(lambda: (1, 2)).ports) == "<ports of lambda: () -> (a: Any, b: Any)>"

    def many() -> tuple[int, ...]:
        return (1, 2)

    assert repr(operation(outputs=("a", "b"))(many).ports) == "<ports of many: () -> (a: int, b: int)>"


def test_a_function_may_have_no_output() -> None:
    quiet = operation(outputs=())(lambda x: None)
    assert quiet.ports.outputs == ()
    assert not quiet.spread


@pytest.mark.parametrize("outputs", [("a", "a"), ("a b",), ("",), "a b", (3,)])
def test_outputs_are_different_identifiers(outputs: Any) -> None:
    with pytest.raises(PortError, match="must be different identifiers"):
        operation(outputs=outputs)(double)


def test_a_tuple_of_another_length_is_refused() -> None:
    three = operation(outputs=("a", "b", "c"))(limits.function)
    with pytest.raises(PortError, match="limits returns a tuple of 2"):
        three.ports


def test_a_parameter_annotated_with_the_context_is_no_port() -> None:
    """G1: by class, by name where the class cannot be resolved, and beside None."""

    def by_string(a: int, context: ExecutionContext) -> int: ...
    def with_none(context: ExecutionContext | None, a: int) -> int: ...
    def by_keyword(a: int, *, context: ExecutionContext) -> int: ...

    for function, arguments in ((by_string, (0, -1)), (with_none, (-1, 0)), (by_keyword, (0, -1))):
        made = operation(function)
        assert inputs_of(function) == {"a": int}
        assert made.pattern.arguments == arguments


def test_the_context_is_recognised_by_its_class_and_subclasses() -> None:
    context_module = pytest.importorskip("execution_dataflow.context")

    class Mine(context_module.ExecutionContext): ...  # type: ignore[misc]

    def plain(a: int, context: Any) -> None: ...
    def optional(a: int, context: Any = None) -> None: ...

    plain.__annotations__["context"] = context_module.ExecutionContext
    optional.__annotations__["context"] = Mine | None
    assert inputs_of(plain) == {"a": int}
    assert inputs_of(optional) == {"a": int}


def test_a_class_of_the_user_with_the_same_name_is_a_port() -> None:
    class ExecutionContext: ...

    def function(context: Any) -> None: ...

    function.__annotations__["context"] = ExecutionContext
    assert inputs_of(function) == {"context": ExecutionContext}


def test_an_annotation_that_cannot_be_resolved_takes_anything() -> None:
    """G3: the others keep their types."""

    def function(a: int, b: Mystery, c: list[Mystery] | None = None) -> str: ...

    made = operation(function)
    assert inputs_of(function) == {"a": int, "b": Any, "c": Any}
    assert made.ports.outputs[0][1].data_type is str


def test_annotations_are_resolved_when_they_are_first_needed() -> None:
    namespace: dict[str, Any] = {}
    exec("def function(a: 'Later') -> 'Later': ...", namespace)
    made = operation(namespace["function"])
    namespace["Later"] = bytes
    assert made.ports.inputs[0][1].data_type is bytes


def test_positional_only_and_keyword_only_parameters_are_ports() -> None:
    def function(a: int, /, b: int, *, c: int = 3, d: int) -> int: ...

    pattern = operation(function).pattern
    assert [name for name, _ in pattern.inputs] == ["a", "b", "c", "d"]
    assert pattern.arguments == (0, 1, 2, 3)
    assert pattern.keyword_names == ("c", "d")


@pytest.mark.parametrize("source", ["def function(a, *rows): ...", "def function(a, *, b, **rows): ..."])
def test_parameters_without_a_name_of_their_own_are_refused(source: str) -> None:
    namespace: dict[str, Any] = {}
    exec(source, namespace)
    with pytest.raises(PortError, match=r"function takes \*\*?rows, which names no ports"):
        operation(namespace["function"])


def test_partials_callable_objects_methods_and_decorated_functions_are_functions() -> None:
    class Adder:
        def __init__(self, n: int) -> None:
            self.n = n

        def __call__(self, x: int) -> float:
            return x + self.n

        def add(self, x: int) -> float:
            return x + self.n

    def traced(function: Any) -> Any:
        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            return function(*args, **kwargs)

        return wrapper

    def scale(x: int, factor: int) -> int:
        return x * factor

    assert inputs_of(Adder(1)) == {"x": int}
    assert inputs_of(Adder(1).add) == {"x": int}
    assert inputs_of(traced(double)) == {"x": int}
    assert inputs_of(functools.partial(scale, factor=2)) == {"x": int, "factor": int}
    assert inputs_of(functools.partial(scale, 3)) == {"factor": int}
    assert operation(Adder(1)).label == "Adder"
    assert operation(functools.partial(scale, 3)).label == "scale"


def test_a_builtin_whose_parameters_are_unknown_is_refused_by_name() -> None:
    with pytest.raises(PortError, match=r"dir.*wrap it in a function|dir takes"):
        operation(dir).ports


def test_inputs_of_a_numpy_ufunc_are_its_arrays() -> None:
    assert inputs_of(np.add) == {"x1": Any, "x2": Any}
    assert inputs_of(np.sin) == {"x": Any}
    assert value_of(np.add, x1=1, x2=2) == 3
    assert value_of(np.sin, x=0.0) == 0


def test_function_without_python_code_is_called_without_what_nobody_gave() -> None:
    assert value_of(np.array, object=[1, 2]).tolist() == [1, 2]
    assert value_of(np.array, object=[1, 2], ndmin=2, dtype=float).tolist() == [[1.0, 2.0]]
    assert value_of(np.where, condition=[False, True])[0].tolist() == [1]
    assert value_of(np.where, condition=[False, True], x=1, y=2).tolist() == [2, 1]
    assert value_of(sorted, iterable=[1, 3, 2], reverse=True) == [3, 2, 1]
    assert value_of(functools.partial(np.array, ndmin=2), object=[1]).tolist() == [[1]]


@pytest.mark.parametrize("wrong", [3, "double", int])
def test_what_is_no_function_is_refused(wrong: Any) -> None:
    with pytest.raises(TypeError, match="@operation is for functions"):
        operation(wrong)


def test_an_unknown_option_is_named_with_the_nearest_one() -> None:
    with pytest.raises(TypeError, match=r"no option 'retries'|did you mean"):
        operation(retries=3)(double)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match=r"did you mean 'priority'\?"):
        load.new(priorty=3)  # type: ignore[call-arg]


def test_new_makes_an_operation_each_time_with_the_options_of_the_function() -> None:
    first, second = strip.new(), strip.new(priority=9, name="second")
    assert first is not second
    assert isinstance(first, FunctionOperation)
    assert first.function is strip.function
    assert first.ports is second.ports
    assert (first.retry_policy, first.priority, first.name) == (RetryPolicy(max_attempts=2), 3, None)
    assert (second.priority, second.name) == (9, "second")
    assert repr(first) == "<operation trim>"
    assert repr(second) == "<operation trim 'second'>"


def test_a_decorator_may_be_given_again_with_other_options() -> None:
    other = operation(name="other")(strip)
    assert isinstance(other, OperationFunction)
    assert other.function is strip.function
    assert other.label == "other"
    assert other.new().retry_policy == RetryPolicy(max_attempts=2)


def test_functions_and_their_operations_can_be_pickled_by_name() -> None:
    """G1."""
    assert pickle.loads(pickle.dumps(double)) is double
    for made in (strip.new(name="x"), limits.new()):
        twin = copy.deepcopy(made)
        assert twin.definition is made.definition
        assert (twin.name, twin.priority, twin.ports) == (made.name, made.priority, made.definition.ports)


def test_a_function_decorated_under_another_name_keeps_its_options_in_a_copy() -> None:
    other = operation(name="other")(double)
    twin = copy.deepcopy(other)
    assert (twin.function, twin.label) == (double, "other")


def test_a_lambda_and_a_plain_function_can_be_added() -> None:
    graph = GraphDefinition()
    first = graph.add(double, x=1)
    second = graph.add(lambda x: x + 1, x=first)
    assert graph.compile().names == ("double", "lambda")
    assert second.ports.input_index == {"x": 0}


def test_the_same_plain_function_is_read_once() -> None:
    graph = GraphDefinition()
    assert graph.add(double, x=1).ports is graph.add(double, x=2).ports


def test_coroutine_functions_are_found_in_every_form() -> None:
    """Executor: coroutine detection."""

    class Op:
        async def execute(self, context: Any) -> None: ...
        async def __call__(self) -> None: ...

    @functools.wraps(fetch.function)
    def wrapper(*args: Any) -> Any:
        return fetch.function(*args)

    for function in (fetch, fetch.function, Op().execute, Op(), functools.partial(Op().execute, None), wrapper):
        assert is_coroutine_function(function), function
    for plain in (double, load, functools.partial(double), print, Op):
        assert not is_coroutine_function(plain), plain
    assert fetch.is_coroutine
    assert not load.is_coroutine


def test_a_wrapper_that_leads_to_itself_does_not_hang() -> None:
    def function() -> None: ...

    function.__wrapped__ = function  # type: ignore[attr-defined]
    assert not is_coroutine_function(function)


def test_executor_and_kind_of_function_must_agree() -> None:
    for bad in (operation(executor="async")(double), operation(executor="thread")(fetch.function)):
        with pytest.raises(GraphError, match=r"async def|coroutine function"):
            GraphDefinition().add(bad)


def test_execute_calls_the_function_with_the_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    """Engines of other libraries may run a function operation by its execute."""
    values: dict[str, Any] = {"a": 1, "c": 3}
    outputs: dict[str, Any] = {}
    monkeypatch.setattr(FunctionOperation, "get_input", lambda self, name: values[name], raising=False)
    keep = lambda self, name, value: outputs.update({name: value})  # noqa: E731 - it must be a method
    monkeypatch.setattr(FunctionOperation, "set_output", keep, raising=False)

    def both(a: int, context: ExecutionContext, *, c: int) -> tuple[Any, int]:
        return context, a + c

    operation(both).new().execute("context")
    operation(outputs=("x", "y"))(both).new().execute("context")
    assert outputs == {"result": ("context", 4), "x": "context", "y": 4}
