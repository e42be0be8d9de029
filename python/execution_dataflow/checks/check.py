"""A check: a name, a predicate, and what it means when a value does not pass."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, Literal, Union, cast, get_args, get_origin

from execution_dataflow.check_errors import BrokenCheckError
from execution_dataflow.checks.outcome import CheckOutcome, Example, Judgement, Severity
from execution_dataflow.errors import PortError

__all__ = ["Check", "checks_given", "checks_in", "checks_of_ports"]

_COROUTINE = 0x80 | 0x100  # CO_COROUTINE, CO_ITERABLE_COROUTINE
# Of five examples and all their columns a sentence has room for these.
_SHOWN = 3
_COLUMNS_SHOWN = 6
_NOTHING: Mapping[str, Any] = {}


class Check:
    """Something that the values of a port must be: ``InputPort(checks=[...])``, ``OutputPort(checks=[...])``.

    A function's parameter or result has it in its annotation: ``Annotated[pandas.DataFrame, Check(...)]``.

    Parameters
    ----------
    name : str
        What it is called in messages and reports.
    predicate : callable
        Takes the value and returns whether it passes: a truth for the value as a whole, or one for each row or element
        (a list, or an array or a Series of booleans in which a missing truth counts as passed). It must leave the value
        as it is. A plain function, not a coroutine function.
    severity : {"fail", "warn", "record"}
        What it means that a value does not pass: the attempt fails with `CheckFailed`; a warning is logged; or the
        outcome is only recorded. All outcomes are in ``result.checks``.
    description : str
        What it is for.
    mostly : float
        The part of the rows or elements that has to pass, from 0 to 1.
    uses_ports : bool
        Whether the predicate takes a second argument: a mapping of the names of the other ports of the operation to
        their values. The check of an output finds inputs and outputs there, that of an input only inputs.
    columns : iterable of str
        The columns that are shown of rows that do not pass; all of them by default.

    Raises
    ------
    TypeError, ValueError
        An argument is of the wrong type or out of its range.

    Examples
    --------
    >>> ordered = Check("sorted", lambda numbers: numbers == sorted(numbers))
    >>> ordered.evaluate([3, 1, 2]).passed
    False
    >>> even = Check("even", lambda numbers: [number % 2 == 0 for number in numbers], severity="warn", mostly=0.5)
    >>> even.evaluate([2, 3, 4]).message
    'even: 1 of 3 rows does not pass, which 50% may: row 1 (3)'
    """

    __slots__ = ("_key", "columns", "description", "mostly", "name", "predicate", "severity", "uses_ports")

    name: str
    predicate: Callable[..., Any]
    severity: Severity
    description: str
    mostly: float
    uses_ports: bool
    columns: tuple[Any, ...]
    _key: tuple[Any, ...]

    def __init__(
        self,
        name: str,
        predicate: Callable[..., Any],
        *,
        severity: Severity = "fail",
        description: str = "",
        mostly: float = 1.0,
        uses_ports: bool = False,
        columns: Iterable[Any] = (),
    ) -> None:
        # What a user gave may be anything.
        given_name: object = name
        share: object = mostly
        if not isinstance(given_name, str) or not given_name:
            raise TypeError(f"Check(name=) must be a text such as 'every fare is positive', not {name!r}")
        if not callable(predicate):
            raise TypeError(f"Check({name!r}, predicate=) must be a function of the value, not {predicate!r}")
        if _is_coroutine_function(predicate):
            raise TypeError(
                f"Check({name!r}, predicate=) must be a plain function: what has to be awaited belongs into an "
                "operation, whose output is checked"
            )
        if severity not in get_args(Severity):
            choices = ", ".join(map(repr, get_args(Severity)))
            raise ValueError(f"Check({name!r}, severity=) must be one of {choices}, not {severity!r}")
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 1:
            raise ValueError(f"Check({name!r}, mostly=) must be a number from 0 to 1, not {mostly!r}")
        if not isinstance(description, str):
            raise TypeError(f"Check({name!r}, description=) must be a str, not {description!r}")
        if isinstance(columns, str):
            raise TypeError(f"Check({name!r}, columns=) must be a list of columns, not {columns!r}")
        set_field = object.__setattr__
        set_field(self, "name", name)
        set_field(self, "predicate", predicate)
        set_field(self, "severity", severity)
        set_field(self, "description", description)
        set_field(self, "mostly", float(mostly))
        set_field(self, "uses_ports", bool(uses_ports))
        set_field(self, "columns", tuple(columns))
        key = name, predicate, severity, description, float(mostly), bool(uses_ports), self.columns
        set_field(self, "_key", key)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a Check does not change: make another one instead of setting {name!r}")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"a Check does not change: {name!r} stays")

    @property
    def other_ports(self) -> tuple[str, ...]:
        """The names of the ports that it compares the value with, as far as they are known beforehand."""
        return tuple(getattr(self.predicate, "other_ports", ()))

    def evaluate(self, value: Any, ports: Mapping[str, Any] = _NOTHING) -> CheckOutcome:
        """Judge a value, anywhere.

        Parameters
        ----------
        value : object
            The value.
        ports : mapping, optional
            The values of the other ports, for a check that uses them.

        Returns
        -------
        CheckOutcome
            Whether it passed, and what did not.

        Raises
        ------
        BrokenCheckError
            The check cannot be evaluated.
        """
        return self.outcome_for("", "input", value, ports)

    def passing(self, value: Any, ports: Mapping[str, Any] = _NOTHING) -> Any:
        """Return which rows or elements pass, to keep or to mend the others.

        Parameters
        ----------
        value : object
            The value.
        ports : mapping, optional
            The values of the other ports, for a check that uses them.

        Returns
        -------
        array, Series or list of bool
            In the form of the value: what its library selects rows with.

        Raises
        ------
        BrokenCheckError
            The check cannot be evaluated, or judges the value as a whole.

        Examples
        --------
        >>> from execution_dataflow.checks import in_range
        >>> in_range(low=0).passing([4, -1, 2])
        [True, False, True]
        """
        from execution_dataflow.checks.masks import passing_rows

        try:
            rows_of = getattr(self.predicate, "passing", None)
            answer = rows_of(value, ports) if rows_of is not None else self._ask(value, ports)
            return passing_rows(value, answer)
        except Exception as fault:
            raise self._broken("", "input", fault).with_traceback(fault.__traceback__) from fault

    def outcome_for(
        self,
        port: str,
        direction: Literal["input", "output"],
        value: Any,
        ports: Mapping[str, Any],
        operation: str = "",
        attempt: int = 1,
    ) -> CheckOutcome:
        """Judge the value of a port; what `evaluate` does, with the names of where it is done."""
        try:
            judged = self._ask(value, ports)
            if not isinstance(judged, Judgement):
                from execution_dataflow.checks.masks import judgement_of

                judged = judgement_of(value, judged, self.columns)
        except Exception as fault:
            raise self._broken(port, direction, fault).with_traceback(fault.__traceback__) from fault
        if judged.failed is None or not judged.total:
            passed = judged.is_good
        else:
            # Rounding must not fail what is just enough: 0.95 of 20 rows are 19.
            passed = judged.total - judged.failed >= self.mostly * judged.total - 1e-9
        return CheckOutcome(
            operation=operation,
            attempt=attempt,
            port=port,
            direction=direction,
            check=self.name,
            severity=self.severity,
            passed=passed,
            failed=judged.failed,
            total=judged.total,
            examples=judged.examples,
            message=self._message(judged),
            description=self.description,
        )

    def _ask(self, value: Any, ports: Mapping[str, Any]) -> Any:
        return self.predicate(value, ports) if self.uses_ports else self.predicate(value)

    def _message(self, judged: Judgement) -> str:
        if judged.failed is None or judged.total is None:
            text = judged.reason or ("passed" if judged.is_good else "the value does not pass")
        elif not judged.failed:
            text = f"all {judged.total} pass" if judged.total != 1 else "passed"
        else:
            if judged.total == 1 and judged.examples and judged.examples[0][0] is None:
                return f"{self.name}: {_shown(judged.examples[0])} does not pass"
            noun = "row" if judged.total == 1 else "rows"
            verb = "does" if judged.failed == 1 else "do"
            text = f"{judged.failed} of {judged.total} {noun} {verb} not pass"
            if self.mostly < 1:
                text += f", which {(1 - self.mostly) * 100:.4g}% may"
        if judged.examples:
            text += ": " + ", ".join(map(_shown, judged.examples[:_SHOWN]))
        if judged.failed is not None and judged.failed > _SHOWN:
            text += ", ..."
        return f"{self.name}: {text}"

    def _broken(self, port: str, direction: str, fault: Exception) -> BrokenCheckError:
        where = f" of {direction} {port!r}" if port else ""
        return BrokenCheckError(
            f"the check {self.name!r}{where} cannot be evaluated: {type(fault).__name__}: {fault}",
            port=port or None,
            check=self.name,
        )

    def __eq__(self, other: object) -> bool:
        return self._key == other._key if type(other) is Check else NotImplemented

    def __hash__(self) -> int:
        return hash(self._key)

    def __repr__(self) -> str:
        rule: Any = self.predicate
        made_by = getattr(rule, "made_by", "")
        parts = rule.arguments() if made_by else [repr(self.name), _name_of(rule)]
        if made_by and self.name != rule.default_name():
            parts.append(f"name={self.name!r}")
        parts += [f"severity={self.severity!r}"] if self.severity != "fail" else []
        parts += [f"mostly={self.mostly:g}"] if self.mostly != 1 else []
        parts += [f"description={self.description!r}"] if self.description else []
        parts += ["uses_ports=True"] if self.uses_ports and not made_by else []
        parts += [f"columns={list(self.columns)!r}"] if self.columns else []
        return f"{made_by or 'Check'}({', '.join(parts)})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _remake, self._key


def _remake(
    name: str,
    predicate: Callable[..., Any],
    severity: Severity,
    description: str,
    mostly: float,
    uses_ports: bool,
    columns: tuple[Any, ...],
) -> Check:
    return Check(
        name,
        predicate,
        severity=severity,
        description=description,
        mostly=mostly,
        uses_ports=uses_ports,
        columns=columns,
    )


def _shown(example: Example) -> str:
    place, value = example
    if isinstance(value, dict):
        what = ", ".join(f"{name}={cell!r}" for name, cell in list(value.items())[:_COLUMNS_SHOWN])
        what += ", ..." if len(value) > _COLUMNS_SHOWN else ""
    else:
        what = repr(value)
    if place is None:
        return what
    return f"row {place} ({what})" if isinstance(place, int) else f"at {place} ({what})"


def _name_of(predicate: Callable[..., Any]) -> str:
    return getattr(predicate, "__qualname__", None) or repr(predicate)


def _is_coroutine_function(predicate: Any) -> bool:
    code = getattr(predicate, "__code__", None) or getattr(type(predicate).__call__, "__code__", None)
    return code is not None and bool(code.co_flags & _COROUTINE)


def checks_given(kind: str, checks: object) -> tuple[Check, ...]:
    """Return what was given as ``checks=`` of a port.

    Raises
    ------
    PortError
        It is no collection of checks.
    """
    given = (checks,) if isinstance(checks, Check) else checks
    if not isinstance(given, Iterable) or isinstance(given, str | bytes):
        raise PortError(f"{kind}(checks=) is a list of checks such as [not_null()], not {checks!r}")
    given = tuple(given)
    for check in given:
        if isinstance(check, type) or not isinstance(check, Check):
            name = getattr(check, "__name__", "predicate")
            hint = f"; make one of it with Check('a name', {name})" if callable(check) else ""
            raise PortError(f"{kind}(checks=) takes objects of Check, not {name if hint else repr(check)}{hint}")
    return given


def checks_of_ports(label: str, checks: object) -> dict[str, tuple[Check, ...]]:
    """Return what was given as ``checks=`` of a function: checks by the names of ports.

    Raises
    ------
    PortError
        It is no mapping of names to checks.
    """
    if checks is None:
        return {}
    if not isinstance(checks, Mapping):
        raise PortError(
            f"{label}(checks=) is a mapping of ports to checks such as {{'result': [not_null()]}}, not {checks!r}",
            operation=label,
        )
    return {str(name): checks_given(f"{label}.{name}: ", given) for name, given in checks.items()}


def checks_in(hint: object) -> tuple[Check, ...]:
    """Return the checks in an annotation: those of an ``Annotated``, or of the members of a union.

    Raises
    ------
    PortError
        There is one inside of a type, where nothing looks at elements.

    Examples
    --------
    >>> checks_in(Annotated[int, Check("positive", lambda number: number > 0)] | None)
    (Check('positive', <lambda>),)
    """
    origin = get_origin(hint)
    if origin is Annotated:
        inner, *metadata = get_args(hint)
        return checks_in(inner) + tuple(item for item in metadata if isinstance(item, Check))
    if origin is Union or type(hint).__name__ == "UnionType":
        return tuple(check for member in get_args(hint) for check in checks_in(member))
    for member in get_args(hint):
        if get_origin(member) is not None and (inside := checks_in(member)):
            raise PortError(
                f"the check {inside[0].name!r} stands inside of {cast(Any, hint)}, and checks look at the value of a "
                "port, not at parts of its type: write Annotated[the whole type, the check]; ready checks look at "
                "every element of a list by themselves"
            )
    return ()
