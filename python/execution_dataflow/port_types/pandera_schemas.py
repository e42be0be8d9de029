"""Schemas of pandera as types of ports; pandera is imported by whoever has made such a schema."""

from __future__ import annotations

import sys
from typing import Any, get_args, get_origin

from execution_dataflow.port_types.specs import ValueSpec

__all__ = ["PanderaSpec", "pandera_spec"]

_SHOWN = 5
_LONGEST = 600


class PanderaSpec(ValueSpec):
    """Checks frames with a schema of pandera: everything that it says, values included.

    Parameters
    ----------
    schema : object
        A ``DataFrameSchema``.
    name : str
        What it is called.
    """

    __slots__ = ("name", "schema")

    def __init__(self, schema: Any, name: str) -> None:
        self.schema = schema
        self.name = name

    def fault(self, value: object) -> str | None:
        """Return what pandera finds wrong with a frame, or ``None``."""
        try:
            self.schema.validate(value, lazy=True)
        except Exception as error:  # its SchemaErrors, and what it raises for what is no frame
            return (
                f"expected a table as the pandera schema {self.name} has it, got {type(value).__name__}: {_told(error)}"
            )
        return None

    def __reduce__(self) -> tuple[Any, ...]:
        return PanderaSpec, (self.schema, self.name)


def _told(error: Exception) -> str:
    cases: Any = getattr(error, "failure_cases", None)
    try:
        rows = cases.to_dicts() if hasattr(cases, "to_dicts") else cases.to_dict("records")
        shown = [_case(row) for row in rows[:_SHOWN]]
        more = [f"and {len(rows) - _SHOWN} more"] if len(rows) > _SHOWN else []
        text = "; ".join([*shown, *more])
    except Exception:  # another version of pandera, or an error of something else
        text = f"{type(error).__name__}: {error}"
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _case(row: dict[str, Any]) -> str:
    where = f"column {row['column']!r}" if row.get("column") is not None else str(row.get("schema_context"))
    index = row.get("index")
    place = f" in row {index}" if index is not None and index == index else ""
    return f"{where} fails {row.get('check')} with {row.get('failure_case')!r}{place}"


def pandera_spec(hint: Any) -> PanderaSpec | None:
    """Return the check that a schema of pandera asks for, or ``None`` if a hint is none of its.

    Parameters
    ----------
    hint : object
        A ``DataFrameSchema``, a ``DataFrameModel``, or ``pandera.typing.DataFrame`` of one.

    Returns
    -------
    PanderaSpec or None
        The check.
    """
    if "pandera" not in sys.modules:
        return None
    if isinstance(hint, type):
        return _spec_of_model(hint) if _is_pandera(hint) else None
    origin = get_origin(hint)
    if isinstance(origin, type) and origin.__module__.startswith("pandera.typing"):
        return next((_spec_of_model(model) for model in get_args(hint) if isinstance(model, type)), None)
    if _is_pandera(type(hint)) and hasattr(hint, "validate") and hasattr(hint, "columns"):
        return PanderaSpec(hint, str(getattr(hint, "name", None) or type(hint).__name__))
    return None


def _is_pandera(kind: type) -> bool:
    return any(base.__module__.partition(".")[0] == "pandera" for base in kind.__mro__)


def _spec_of_model(model: Any) -> PanderaSpec | None:
    return PanderaSpec(model.to_schema(), model.__name__) if hasattr(model, "to_schema") else None
