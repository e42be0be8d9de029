"""Operations as plain data: what they are made of, and what they were given."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterator
from types import UnionType
from typing import Any, get_origin

from execution_dataflow.composition.nested import NestedGraph
from execution_dataflow.definition_files.option_values import encode_option
from execution_dataflow.definition_files.plain_values import Encoder, NotPlainError
from execution_dataflow.definition_files.references import NoReferenceError, reference_of
from execution_dataflow.definition_files.type_texts import text_of_type
from execution_dataflow.expansion.graph_items import GraphItem
from execution_dataflow.expansion.repeating import RepeatedOperation
from execution_dataflow.fallbacks import FallbackValue
from execution_dataflow.functions import FunctionOperation, OperationFunction, operation_of
from execution_dataflow.mapping import MappedOperation, mapped
from execution_dataflow.names import explicit_name
from execution_dataflow.operation_settings import Setting
from execution_dataflow.operations import OPTIONS, Operation
from execution_dataflow.policies import RetryPolicy
from execution_dataflow.rate_limits import RateLimit

__all__ = ["POSITIONAL", "OperationWriter", "Report"]

_FIELDS_OF_OPTIONS = {*OPTIONS, "_settings", "_ports", "_arguments"}
_MARKS = {RetryPolicy: "retry_policy", RateLimit: "rate_limit"}
_MISSING = object()

POSITIONAL = "$positional"
"""Where the arguments by position stand among those by keyword."""

Report = Callable[[str, str], None]
"""Takes where in the operation, and what is wrong."""


class OperationWriter:
    """Writes operations, and reports what cannot be written.

    Parameters
    ----------
    encoder : Encoder
        Writes values.
    nested : callable
        Takes a graph, where in the operation it stands, and a report; returns the graph as plain data.
    """

    def __init__(self, encoder: Encoder, nested: Callable[[Any, str, Report], dict[str, Any]]) -> None:
        self._encoder = encoder
        self._with_functions = encoder.with_functions(reference_of)
        self._nested = nested

    def write(self, operation: Operation, report: Report) -> dict[str, Any]:
        """Return an operation as plain data, without its name and its inputs.

        Parameters
        ----------
        operation : Operation
            The operation.
        report : callable
            Called for each part that cannot be written.

        Returns
        -------
        dict
            As it stands in a file.
        """
        if type(operation) is MappedOperation:
            return self._map(operation, report)
        if type(operation) is RepeatedOperation:
            return self._loop(operation, report)
        if isinstance(operation, NestedGraph | GraphItem):
            written: dict[str, Any] = {"graph": self._nested(operation.graph, "graph", report)}
            return _with(written, options={"description": operation.description} if operation.description else {})
        if type(operation) is FunctionOperation:
            return self._function(operation, report)
        return self._instance(operation, report)

    def _reference(self, given: Any, report: Report) -> str:
        try:
            return reference_of(given)
        except NoReferenceError as error:
            report("operation", str(error))
            return ""

    def _map(self, operation: MappedOperation, report: Report) -> dict[str, Any]:
        item = operation.item
        inner = self._inner(item, "map", report)
        inner["over"] = list(operation.over)
        if operation.stack:
            inner["stack"] = True
        if operation.max_concurrency is not None:
            inner["max_concurrency"] = operation.max_concurrency
        if operation.on_error != "fail":
            inner["on_error"] = operation.on_error
        limit = operation.max_concurrency
        fresh = mapped(item, over=operation.over, stack=operation.stack, max_concurrency=limit)
        return _with({"map": inner}, options=self._options(operation, fresh, report))

    def _inner(self, operation: Operation, part: str, report: Report) -> dict[str, Any]:
        """Return what another operation runs; its name is among its options."""
        written = self.write(operation, lambda path, problem: report(f"{part}.{path}", problem))
        name = explicit_name(operation)
        if name is not None:
            written["options"] = {"name": name, **written.get("options", {})}
        return written

    def _loop(self, operation: RepeatedOperation, report: Report) -> dict[str, Any]:
        inner = self._inner(operation.body, "repeat", report)
        inner["until"] = self._inner(operation.until, "repeat.until", report)
        inner["max_iterations"] = operation.max_iterations
        if operation.on_limit != "fail":
            inner["on_limit"] = operation.on_limit
        fresh = operation.with_options()
        return _with({"repeat": inner}, options=self._options(operation, fresh, report))

    def _function(self, operation: FunctionOperation[Any], report: Report) -> dict[str, Any]:
        definition = operation.definition
        written: dict[str, Any] = {"operation": self._reference(definition, report)}
        if not written["operation"]:
            return written
        base, outputs = _importable(definition), definition._outputs
        if base._outputs != outputs:
            if outputs is None:
                report("outputs", "the function is decorated with names for its outputs, and this operation has none")
                return written
            written["outputs"] = outputs if isinstance(outputs, str) else list(outputs)
            base = operation_of(base, outputs)
        fresh = base.new()
        self._report_changes(operation, fresh, base.new, report)
        return _with(written, options=self._options(operation, fresh, report))

    def _instance(self, operation: Operation, report: Report) -> dict[str, Any]:
        kind = type(operation)
        written: dict[str, Any] = {"operation": self._reference(kind, report)}
        if not written["operation"]:
            return written
        problems: list[tuple[str, str]] = []
        for args, kwargs in _calls(operation):
            problems.clear()
            try:
                fresh = kind(*args, **kwargs)
            except Exception as error:
                problems.append(
                    (
                        "arguments",
                        f"{kind.__name__} cannot be made again with these arguments: {type(error).__name__}: {error}",
                    )
                )
                continue

            def again(args: Any = args, kwargs: Any = kwargs) -> Operation:
                return kind(*args, **kwargs)

            self._report_changes(operation, fresh, again, lambda path, problem: problems.append((path, problem)))
            if problems:
                continue
            given = self._arguments(args, kwargs, report)
            return _with(written, arguments=given, options=self._options(operation, fresh, report))
        for path, problem in problems:
            report(path, problem)
        return written

    def _arguments(self, args: tuple[Any, ...], kwargs: dict[str, Any], report: Report) -> Any:
        def encoded(name: str, value: Any) -> Any:
            try:
                mark = _MARKS.get(type(value))
                if mark is not None:
                    return {f"${mark}": encode_option(mark, value, self._encoder)}
                if _is_type(value):
                    return {"$type": text_of_type(value)}
                return self._with_functions.encode(value)
            except (NotPlainError, NoReferenceError, TypeError) as error:
                report(f"arguments.{name}", str(error))
                return None

        by_position = [encoded(str(index), value) for index, value in enumerate(args)]
        if not kwargs:
            return by_position
        return ({POSITIONAL: by_position} if args else {}) | {
            name: encoded(name, value) for name, value in kwargs.items()
        }

    def _options(self, operation: Operation, fresh: Operation, report: Report) -> dict[str, Any]:
        """What an operation was given beside what its class, its function or its constructor gives to all."""
        written: dict[str, Any] = {}
        for option in OPTIONS:
            if option == "name" or _is_computed(type(operation), option):
                continue
            if type(operation) is MappedOperation and option == "max_concurrency":
                continue
            value, usual = getattr(operation, option), getattr(fresh, option)
            if value is usual or (option != "on_failure" and value == usual):
                continue
            try:
                if option == "on_failure":
                    written[option] = self._fallback(value, report)
                else:
                    written[option] = encode_option(option, value, self._encoder)
            except (NotPlainError, NoReferenceError) as error:
                report(f"options.{option}", str(error))
        return written

    def _fallback(self, given: Any, report: Report) -> Any:
        if given is None:
            return None
        if isinstance(given, FallbackValue):
            return {"fallback_value": self._encoder.encode(given.value)}
        if isinstance(given, Operation):
            return self._inner(given, "options.on_failure", report)
        if isinstance(given, OperationFunction) or callable(given):
            return {"function": reference_of(given)}
        return {"value": self._encoder.encode(given)}

    def _report_changes(
        self, operation: Operation, fresh: Operation, again: Callable[[], Operation], report: Report
    ) -> None:
        """Report what was done to an operation after it was made: nobody would do it to one that is loaded."""
        for name, value, usual in _differing(operation, fresh):
            if not self._differ(value, usual):
                continue
            try:
                other = again()
            except Exception:
                return
            if not self._differ(vars(other).get(name, _MISSING), usual):
                report(
                    f"attributes.{name}",
                    f"its attribute {name!r} was changed after it was made; give what it needs to its constructor",
                )
        if [*map(str, operation.ports.inputs), *map(str, operation.ports.outputs)] != [
            *map(str, fresh.ports.inputs),
            *map(str, fresh.ports.outputs),
        ]:
            report("ports", "its ports are not those that its constructor declares; declare all of them in __init__")

    def _differ(self, value: Any, other: Any) -> bool:
        """Whether two values are surely different; of what is no plain data nobody can tell."""
        if value is _MISSING or other is _MISSING:
            return value is not other
        if type(value) is not type(other):
            return True
        try:
            return bool(self._encoder.encode(value) != self._encoder.encode(other))
        except NotPlainError:
            return False


def _is_type(value: Any) -> bool:
    return value is Any or isinstance(value, type | UnionType) or get_origin(value) is not None


def _with(written: dict[str, Any], **parts: Any) -> dict[str, Any]:
    return written | {name: part for name, part in parts.items() if part}


def _importable(definition: OperationFunction[..., Any]) -> OperationFunction[..., Any]:
    """Return the decorated function that a loader makes of the reference to this one."""
    module, _, qualified = reference_of(definition).partition(":")
    found: Any = importlib.import_module(module)
    for part in qualified.split("."):
        found = vars(found)[part]
    return found if isinstance(found, OperationFunction) else operation_of(found)


def _calls(operation: Operation) -> Iterator[tuple[tuple[Any, ...], dict[str, Any]]]:
    """The arguments with which a class may make such an operation: without options, which are told apart, and with."""
    args, kwargs = operation._arguments
    if type(operation).__init__ is Operation.__init__:
        yield args, {name: value for name, value in kwargs.items() if name not in OPTIONS}
    elif any(name in OPTIONS for name in kwargs):
        parameters = inspect.signature(type(operation).__init__).parameters
        passed_on = {name for name in kwargs if name in OPTIONS and name not in parameters}
        if passed_on:
            yield args, {name: value for name, value in kwargs.items() if name not in passed_on}
    yield args, kwargs


def _is_computed(kind: type[Operation], option: str) -> bool:
    """Whether the class works an option out for each instance."""
    given = inspect.getattr_static(kind, option, None)
    return option in kind._computed_settings or (isinstance(given, property) and not isinstance(given, Setting))


def _differing(operation: Operation, fresh: Operation) -> Iterator[tuple[str, Any, Any]]:
    mine, theirs = vars(operation), vars(fresh)
    for name in {**mine, **theirs}:
        if name in _FIELDS_OF_OPTIONS or name == "definition":
            continue
        value, usual = mine.get(name, _MISSING), theirs.get(name, _MISSING)
        if value is not usual:
            yield name, value, usual
