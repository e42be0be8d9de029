"""What a run is given besides its graph: the values of parameters, and of ports that are overridden."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from execution_dataflow._core import MISSING
from execution_dataflow.checks.check import Check as ValueCheck
from execution_dataflow.composition_errors import ParameterError
from execution_dataflow.errors import PortTypeError
from execution_dataflow.nearest import nearest_name
from execution_dataflow.type_rules import Check, check_value, describe

__all__ = ["Given", "given_values"]


class Given(NamedTuple):
    """A value that each run of a plan is given.

    Parameters
    ----------
    name : str
        The name of the parameter, or ``operation.port``.
    data_type : object
        Its type, for messages.
    check : object
        What a value must pass.
    default : object
        The value where none is given, or ``_core.MISSING``.
    checks : tuple of Check
        What the value of an overridden output is looked at by, as if its operation had set it.
    is_parameter : bool
        Whether it is a parameter of the graph, and no port that is overridden.
    asked : object
        What an overridden port was called when the plan was compiled.
    """

    name: str
    data_type: Any
    check: Check
    default: Any = MISSING
    is_parameter: bool = True
    checks: tuple[ValueCheck, ...] = ()
    asked: Any = None


def given_values(
    graph: str,
    given: Sequence[Given],
    parameters: Mapping[str, Any] | None,
    overrides: Mapping[str, Any] | None,
    of_context: Mapping[str, Any],
    checks_types: bool = True,
) -> list[Any]:
    """Return the values that a run is given, in the order in which its plan numbers them.

    Parameters
    ----------
    graph : str
        The name of the graph, for messages.
    given : sequence of Given
        What its plan takes.
    parameters : mapping of str to object or None
        The values of parameters.
    overrides : mapping of str to object or None
        The values of overridden ports, by ``operation.port``.
    of_context : mapping of str to object
        The parameters of the run's context, for a hint.
    checks_types : bool
        Whether values are compared with the types of what they are for.

    Returns
    -------
    list of object
        A value for each of `given`.

    Raises
    ------
    ParameterError
        A required parameter is missing, a name is unknown, or a value has a wrong type.
    PortTypeError
        The value of an overridden port has a wrong type.
    TypeError
        `parameters` is no mapping of names.
    """
    parameters = _checked(parameters)
    values, missing, wrong, faults = [], [], [], []
    for item in given:
        value = parameters.get(item.name, MISSING) if item.is_parameter else (overrides or {})[item.name]
        if value is MISSING:
            value = item.default
            if value is MISSING:
                missing.append(item.name)
                faults.append(_missing(item, of_context))
        elif checks_types and (fault := check_value(item.check, value)) is not None:
            if not item.is_parameter:
                raise PortTypeError(
                    f"the override of {item.name} is wrong: {fault}",
                    source="override",
                    target=item.name,
                    source_type=type(value).__name__,
                    target_type=describe(item.data_type),
                )
            wrong.append(item.name)
            faults.append(f"parameter {item.name!r} is wrong: {fault}")
        values.append(value)
    known = [item.name for item in given if item.is_parameter]
    unknown = [name for name in parameters if name not in known]
    faults += [_unknown(name, known) for name in unknown]
    if faults:
        raise ParameterError(
            f"graph {graph!r} cannot run: {'; '.join(faults)}",
            graph=graph,
            missing=missing,
            unknown=unknown,
            wrong=wrong,
        )
    return values


def _checked(parameters: Any) -> Mapping[str, Any]:
    if parameters is None:
        return {}
    if not isinstance(parameters, Mapping) or not all(isinstance(name, str) for name in parameters):
        raise TypeError(f"parameters= is a mapping of names to values, not {parameters!r}")
    return parameters


def _missing(item: Given, of_context: Mapping[str, Any]) -> str:
    text = f"parameter {item.name!r} ({describe(item.data_type)}) has no default and was not given"
    if item.name in of_context:
        text += " (that of the context is for operations to read; give it to engine.run(parameters=) too)"
    return text


def _unknown(name: str, known: Sequence[str]) -> str:
    if not known:
        return f"there is no parameter {name!r}, nor any other; declare it with graph.parameter({name!r})"
    nearest = nearest_name(name, known)
    hint = f"did you mean {nearest!r}?" if nearest else f"there are {', '.join(map(repr, known))}"
    return f"there is no parameter {name!r}; {hint}"
