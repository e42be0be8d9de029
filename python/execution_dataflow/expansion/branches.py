"""Operations that choose between branches, and that join them: what ``graph.switch`` and ``graph.first_of`` add."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from reprlib import Repr
from typing import Any

from execution_dataflow.errors import GraphError, PortError
from execution_dataflow.expansion_errors import SwitchError
from execution_dataflow.nearest import nearest_name
from execution_dataflow.operations import Operation, OutputReference
from execution_dataflow.ports import InputPort, OutputPort

__all__ = ["FirstOf", "Switch", "type_of_first", "type_of_source"]

_short = Repr()
_short.maxstring = _short.maxother = 80


class Switch(Operation):
    """Passes its value on through the one output whose case it is; what follows the others is SKIPPED.

    Parameters
    ----------
    cases : iterable of str, or mapping of str to object
        The names of the outputs. Of a mapping, each with what it is for: a value that the deciding one equals, or a
        function that is true for it. Without, an output is for its own name. The first one that fits is taken.
    by : callable, optional
        Takes the value and returns what decides; the value itself by default.
    default : str, optional
        The output for what fits none. Without, that is a `SwitchError`.
    data_type : type, optional
        What the value is.
    separate : bool
        Whether what decides comes through an input of its own, ``selector``.
    name, priority, description
        As for `Operation`.

    Raises
    ------
    GraphError, PortError, TypeError
        There are no cases, a name comes twice or is no identifier, or there are two ways to decide.

    Examples
    --------
    >>> Switch(["even", "odd"], by=lambda number: "odd" if number % 2 else "even").ports
    <ports of Switch: (value: Any) -> (even: Any, odd: Any)>
    """

    # Nothing is gained by sending the value to another process.
    executor = "thread"

    def __init__(
        self,
        cases: Iterable[str] | Mapping[str, Any],
        *,
        by: Callable[[Any], Any] | None = None,
        default: str | None = None,
        data_type: Any = Any,
        separate: bool = False,
        name: str | None = None,
        priority: int | None = None,
        description: str | None = None,
    ) -> None:
        super().__init__(name=name, priority=priority, description=description)
        if isinstance(cases, str) or not isinstance(cases, Iterable):
            raise TypeError(
                f"cases= must be a list of names, or a mapping of names to what they are for, not {cases!r}"
            )
        if by is not None and not callable(by):
            raise TypeError(f"by= must be a function that takes the value, not {by!r}")
        if by is not None and separate:
            raise GraphError("a switch is decided by= a function or by a selector, not by both")
        given = dict(cases) if isinstance(cases, Mapping) else {case: case for case in _different(cases)}
        if not given:
            raise GraphError("a switch needs at least one case: give cases=['name', ...] or a mapping")
        self.cases: Mapping[str, Any] = given
        self.by = by
        self.default = default
        self.separate = separate
        data_type = _checked_type(data_type)
        self.add_input_port("value", InputPort(data_type))
        if separate:
            self.add_input_port("selector", InputPort(Any))
        for case in given:
            self.add_output_port(case, OutputPort(data_type, optional=True))
        if default is not None:
            if default in given:
                raise PortError(f"default={default!r} is a case too: give it a name of its own", port=default)
            self.add_output_port(default, OutputPort(data_type, optional=True))

    def execute(self, context: Any) -> None:
        """Set the output whose case the value is."""
        value = self.get_input("value")
        if self.separate:
            decides = self.get_input("selector")
        else:
            decides = value if self.by is None else self.by(value)
        for case, wanted in self.cases.items():
            if _is_for(wanted, decides):
                return self.set_output(case, value)
        if self.default is None:
            raise self._no_case(decides)
        return self.set_output(self.default, value)

    def _no_case(self, decides: Any) -> SwitchError:
        nearest = nearest_name(decides, list(self.cases)) if isinstance(decides, str) else None
        suggestion = f" (did you mean {nearest!r}?)" if nearest else ""
        names = ", ".join(map(repr, self.cases))
        return SwitchError(
            f"{_short.repr(decides)} fits none of the cases {names}{suggestion}. Add a case for it, or default='name' "
            "for what fits none",
            value=decides,
            cases=list(self.cases),
        )


def _checked_type(data_type: Any) -> Any:
    """Refuse the name of a type: every file may use these classes, and none may have names looked up."""
    if isinstance(data_type, str):
        raise TypeError(f"data_type= is a type, not the text {data_type!r}; a file says {{$type: ...}}")
    return data_type


def _different(cases: Iterable[str]) -> list[str]:
    names = list(cases)
    twice = [name for index, name in enumerate(names) if name in names[:index]]
    if twice:
        raise PortError(f"the case {twice[0]!r} is given twice", port=str(twice[0]))
    return names


def _is_for(wanted: Any, decides: Any) -> bool:
    if callable(wanted) and not isinstance(wanted, type):
        return bool(wanted(decides))
    return wanted is decides or bool(wanted == decides)


class FirstOf(Operation):
    """Passes on the value of the first of its sources that was not skipped; made by ``graph.first_of``.

    Parameters
    ----------
    data_type : type, optional
        What the values are.
    name, priority, description
        As for `Operation`.

    Examples
    --------
    >>> FirstOf().ports
    <ports of FirstOf: (sources: Any) -> (value: Any)>
    """

    executor = "thread"

    def __init__(
        self,
        data_type: Any = Any,
        *,
        name: str | None = None,
        priority: int | None = None,
        description: str | None = None,
    ) -> None:
        super().__init__(name=name, priority=priority, description=description)
        data_type = _checked_type(data_type)
        self.add_input_port("sources", InputPort(data_type, many=True))
        self.add_output_port("value", OutputPort(data_type))

    def execute(self, context: Any) -> None:
        """Pass the first value on; without any, the operation is skipped and this is not called."""
        self.set_output("value", self.get_input("sources")[0])


def type_of_source(source: Any) -> Any:
    """Return the declared type of a source: an operation that stands for its only output, or one of its outputs."""
    if isinstance(source, OutputReference):
        ports = source.operation.ports
        index = ports.output_index.get(source.port_name)
    elif isinstance(source, Operation):
        ports = source.ports
        index = 0 if len(ports.outputs) == 1 else None
    else:
        return Any
    return Any if index is None else ports.outputs[index][1].data_type


def type_of_first(sources: Sequence[Any]) -> Any:
    """Return the type that all sources have, or else ``Any``."""
    types = [type_of_source(source) for source in sources]
    return types[0] if types and all(hint == types[0] for hint in types) else Any
