"""What a graph can be given at the command line: the parameters of the function that makes it, or those it declares."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from execution_dataflow._core import MISSING
from execution_dataflow.commands.mistakes import Mistake, suggestion
from execution_dataflow.commands.targets import Graph, Target, users_traceback
from execution_dataflow.commands.text_values import expected, is_writable, value_from_texts
from execution_dataflow.error_record import exception_text, place_of
from execution_dataflow.errors import DataflowError
from execution_dataflow.graph import GraphDefinition
from execution_dataflow.nearest import nearest_name
from execution_dataflow.plan import Plan
from execution_dataflow.type_rules import describe

__all__ = ["GraphParameter", "LoadedGraph", "load_graph", "parameters_of"]

_NO_DEFAULT = inspect.Parameter.empty


@dataclass(frozen=True)
class GraphParameter:
    """One thing that a graph can be given.

    Parameters
    ----------
    name : str
        Its name.
    hint : object
        Its type.
    default : object
        What it is when it is not given.
    is_required : bool
        Whether it has to be given.
    description : str
        What it is for.
    """

    name: str
    hint: Any = str
    default: Any = None
    is_required: bool = False
    description: str = ""


@dataclass(frozen=True)
class LoadedGraph:
    """A graph that is ready to run, with the values of the parameters that it declares."""

    graph: Graph
    parameters: Mapping[str, Any]

    def compile(self, targets: Sequence[str] = ()) -> Plan:
        """Return the plan of the graph, or of what some targets need."""
        if isinstance(self.graph, GraphDefinition):
            return self.graph.compile(targets=targets) if targets else self.graph.compile()
        if targets:
            raise Mistake("a Plan has targets of its own: name the GraphDefinition, or compile it with targets=")
        return self.graph


def parameters_of(target: Target) -> list[GraphParameter]:
    """Return the parameters of a target, in the order of its signature."""
    if isinstance(target.found, GraphDefinition | Plan):
        return _declared(target.found)
    return _of_function(target)


def _declared(graph: Graph) -> list[GraphParameter]:
    if isinstance(graph, GraphDefinition):
        declared: list[tuple[str, Any, Any, str]] = [
            (name, parameter.data_type, parameter.default, parameter.description or "")
            for name, parameter in graph.parameters.items()
        ]
    else:
        declared = [(item.name, item.data_type, item.default, "") for item in graph.given if item.is_parameter]
    found = []
    for name, hint, default, description in declared:
        required = default is MISSING
        default = None if required else default
        found.append(GraphParameter(name, _readable(hint, default), default, required, description))
    return found


def _of_function(target: Target) -> list[GraphParameter]:
    function: Any = target.found
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError) as error:
        raise Mistake(f"the parameters of {target.text} cannot be found out: {error}") from None
    try:
        hints = get_type_hints(function, include_extras=True)
    except Exception as error:
        raise Mistake(f"the annotations of {target.text} cannot be resolved: {exception_text(error)}") from None
    found = []
    for name, parameter in signature.parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        required = parameter.default is _NO_DEFAULT
        default = None if required else parameter.default
        hint, description = _described(hints.get(name, Any))
        found.append(GraphParameter(name, _readable(hint, default), default, required, description))
    return found


def _described(hint: Any) -> tuple[Any, str]:
    """Take the text out of ``Annotated[int, "how many"]``, or of an annotation with a ``documentation``."""
    if get_origin(hint) is not Annotated:
        return hint, ""
    bare, *notes = get_args(hint)
    for note in notes:
        text = note if isinstance(note, str) else getattr(note, "documentation", None)
        if isinstance(text, str):
            return bare, text
    return bare, ""


def _readable(hint: Any, default: Any) -> Any:
    """A parameter without annotation is read as its default is."""
    if hint is Any and default is not None and is_writable(type(default)):
        return type(default)
    return hint


def load_graph(target: Target, texts: Mapping[str, Sequence[str]]) -> LoadedGraph:
    """Make the graph of a target, with what was written for its parameters.

    Parameters
    ----------
    target : Target
        What was named.
    texts : mapping of str to sequence of str
        By the name of a parameter, what was written for it.

    Returns
    -------
    LoadedGraph
        The graph. What the function that made it did not take is for the parameters that the graph declares.

    Raises
    ------
    Mistake
        A parameter is unknown or missing, a text is not of its type, or the function raised or returned something else.
    """
    if isinstance(target.found, GraphDefinition | Plan):
        return LoadedGraph(target.found, _values(target.text, _declared(target.found), texts))
    own = _of_function(target)
    names = {parameter.name for parameter in own}
    graph = _called(target, _values(target.text, own, {name: texts[name] for name in texts if name in names}, texts))
    rest = {name: texts[name] for name in texts if name not in names}
    return LoadedGraph(graph, _values(target.text, _declared(graph), rest, also=sorted(names)))


def _values(
    target: str,
    parameters: Sequence[GraphParameter],
    texts: Mapping[str, Sequence[str]],
    given: Mapping[str, Sequence[str]] | None = None,
    also: Sequence[str] = (),
) -> dict[str, Any]:
    """Convert every text, and say everything that is wrong with them at once."""
    by_name = {parameter.name: parameter for parameter in parameters}
    faults, values = [], {}
    for name, written in texts.items():
        parameter = by_name.get(name)
        if parameter is None:
            known = [*by_name, *also]
            faults.append(f"{target} has no parameter {name!r}{suggestion(name, known, f'parameters of {target}')}")
        elif not is_writable(parameter.hint):
            faults.append(
                f"parameter {name!r} of {target} takes {describe(parameter.hint)}, which cannot be written on a "
                "command line: give the function a path or a number to make it from"
            )
        else:
            try:
                values[name] = value_from_texts(written, parameter.hint)
            except ValueError as error:
                faults.append(f"parameter {name!r} of {target}: {error}")
    for parameter in parameters:
        if parameter.is_required and parameter.name not in texts:
            faults.append(
                f"{target} needs the parameter {parameter.name!r}, {expected(parameter.hint)}: "
                f"give it as -p {parameter.name}=..."
            )
    if faults:
        # The others may be parameters of the graph, which cannot be made now.
        stray = [name for name in given or {} if name not in by_name and nearest_name(name, by_name) is not None]
        faults += [f"{target} has no parameter {name!r}{suggestion(name, by_name)}" for name in stray]
        raise Mistake("\nerror: ".join(faults))
    return values


def _called(target: Target, values: Mapping[str, Any]) -> Graph:
    function: Callable[..., Any] = target.found  # type: ignore[assignment]
    positional, named = [], dict(values)
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind is parameter.POSITIONAL_ONLY and name in named:
            positional.append(named.pop(name))
    try:
        graph = function(*positional, **named)
    except DataflowError as error:
        place = place_of(error.__traceback__)
        raise Mistake(f"{error}{f' (at {place})' if place else ''}") from None
    except Exception as error:
        raise Mistake(f"{target.text} raised {exception_text(error)}", users_traceback(error)) from None
    except SystemExit as error:
        raise Mistake(f"{target.text} ended with SystemExit({error.code!r})") from None
    if isinstance(graph, GraphDefinition | Plan):
        return graph
    if graph is None:
        raise Mistake(f"{target.text} returned None: a function that makes a graph ends with `return graph`")
    raise Mistake(f"{target.text} returned {type(graph).__name__}, and not a GraphDefinition or a Plan")
