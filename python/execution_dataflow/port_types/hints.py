"""Reading type hints: down to a class, a union, a generic or a literal, with the specs that came with it."""

from __future__ import annotations

import re
import sys
import typing
from collections.abc import Iterator
from inspect import CO_OPTIMIZED
from types import FrameType, GenericAlias, NoneType, SimpleNamespace, UnionType
from typing import (
    Annotated,
    Any,
    ClassVar,
    Final,
    ForwardRef,
    Literal,
    LiteralString,
    NewType,
    NotRequired,
    Required,
    TypeGuard,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

from execution_dataflow.port_types.files import FileKind, file_kind
from execution_dataflow.port_types.local_names import names_around
from execution_dataflow.port_types.pandera_schemas import PanderaSpec, pandera_spec
from execution_dataflow.port_types.specs import ArraySpec, ValueSpec
from execution_dataflow.port_types.table_schema import schema_of_library

__all__ = [
    "Spec",
    "all_of_variable",
    "describe",
    "has_names",
    "is_anything",
    "is_union",
    "located",
    "members",
    "opened",
    "read",
    "spec_of_hint",
    "struct_fields",
    "texts_in",
]

Spec: typing.TypeAlias = ArraySpec | ValueSpec
"""What a port may declare beside a class."""

# An alias that only ever names another one would be followed for ever.
_MOST_STEPS = 100
_VARIANCE = re.compile(r"(?<![\w'\"])[~+-](?=[^\W\d])")  # before the name of a type variable
_WRAPPERS: tuple[object, ...] = (Final, ClassVar, Required, NotRequired, getattr(typing, "ReadOnly", Final))
_GUARDS: tuple[object, ...] = (TypeGuard, getattr(typing, "TypeIs", TypeGuard))
_BARE: dict[object, object] = {None: NoneType, LiteralString: str, Final: Any, ClassVar: Any}


def read(hint: object) -> tuple[object, tuple[Spec, ...]]:
    """Return what a hint says of the class of a value, and the specs that stand in it.

    Parameters
    ----------
    hint : type or type hint
        The hint.

    Returns
    -------
    tuple of (object, tuple)
        A class, a generic, a union, a `Literal`, or ``Any`` for what says nothing; and specs of arrays and tables.

    Examples
    --------
    >>> read(Annotated[int, "metres"]), read(Annotated[list[int], ArraySpec(shape=(3,))])
    ((<class 'int'>, ()), (list[int], (ArraySpec(shape=(3,)),)))
    """
    if type(hint) is type and "pandera" not in sys.modules:
        return file_kind(hint) or hint, ()
    specs: list[Spec] = []
    for _ in range(_MOST_STEPS):
        if get_origin(hint) is Annotated:
            hint, *notes = get_args(hint)
            specs += [spec for note in notes if (spec := spec_of_hint(note)) is not None]
            continue
        own = spec_of_hint(hint)
        if own is not None:
            return Any, (*specs, own)
        inner = _inside(hint)
        if inner is hint:
            return file_kind(hint) or hint, tuple(specs)
        hint = inner
    return Any, tuple(specs)


def opened(hint: object) -> object:
    """Return what a hint says of the class of a value, as `read` does, but a type variable as it is.

    Parameters
    ----------
    hint : type or type hint
        The hint.

    Returns
    -------
    object
        The type, without what annotates or names it.
    """
    for _ in range(_MOST_STEPS):
        if get_origin(hint) is Annotated:
            hint = get_args(hint)[0]
            continue
        if isinstance(hint, TypeVar) or spec_of_hint(hint) is not None:
            return hint
        inner = _inside(hint)
        if inner is hint:
            return hint
        hint = inner
    return Any


def spec_of_hint(hint: object) -> Spec | None:
    """Return the spec that something stands for which is no class: one of ours, or the schema of a library."""
    if isinstance(hint, ArraySpec | ValueSpec):
        return hint
    kind = type(hint)
    if kind is str or kind is NoneType:
        return None
    found: PanderaSpec | None = pandera_spec(hint)
    return found if found is not None or isinstance(hint, type) else schema_of_library(hint)


def _inside(hint: Any) -> Any:
    """Strip what says nothing about the class of a value, by one step; what cannot be known is ``Any``."""
    kind = type(hint)
    if kind is type or kind is GenericAlias or kind is UnionType:
        return _inside_alias(hint) if kind is GenericAlias else hint
    if kind is str:
        return Any
    if isinstance(hint, ForwardRef):
        return _resolved(hint)
    if isinstance(hint, NewType):
        return hint.__supertype__
    if isinstance(hint, TypeVar):
        return all_of_variable(hint)
    try:
        if hint in _BARE:
            return _BARE[hint]
    except TypeError:  # not hashable
        return hint
    origin = get_origin(hint)
    if origin in _WRAPPERS:
        return get_args(hint)[0]
    if origin in _GUARDS:
        return bool
    if kind.__module__ in ("typing", "typing_extensions") and origin is not None and not get_args(hint):
        return origin  # List, Dict
    if kind.__module__ in ("typing", "typing_extensions") and origin is None and not isinstance(hint, type):
        return _inside_alias(hint) if kind.__name__ == "TypeAliasType" else Any  # Self, Never, a ParamSpec
    return _inside_alias(hint)


def all_of_variable(variable: TypeVar) -> Any:
    """Return all that a type variable may stand for: of one that is bound to ``float``, ``int`` too."""
    if variable.__constraints__:
        return Union[variable.__constraints__]  # noqa: UP007 - there is no operator for a tuple of members
    bound = variable.__bound__
    if bound is float or bound is complex:
        return float | int if bound is float else complex | float | int
    return Any if bound is None else bound


def _inside_alias(hint: Any) -> Any:
    """Expand what a `type X[T] = ...` statement named, from Python 3.12; numpy's `NDArray` is one."""
    if type(hint).__name__ == "TypeAliasType":
        return getattr(hint, "__value__", Any)
    origin = get_origin(hint)
    if type(origin).__name__ != "TypeAliasType":
        return hint
    value: Any = getattr(origin, "__value__", Any)
    try:
        return value[get_args(hint)]
    except TypeError:  # its parameters are not used
        return value


def _resolved(reference: Any) -> object:
    module: Any = getattr(reference, "__forward_module__", None)
    scope = sys.modules.get(module) if isinstance(module, str) else module
    if scope is None:
        return Any
    found = _evaluated(reference, vars(scope), None)
    return Any if found is reference or isinstance(found, ForwardRef) else found


def _evaluated(hint: object, scope: dict[str, Any], names: dict[str, Any] | None) -> object:
    """Return a hint with its names looked up, or as it was where one of them is not known (yet)."""
    holder = SimpleNamespace(__annotations__={"hint": hint})
    try:
        return get_type_hints(holder, globalns=scope, localns=names, include_extras=True)["hint"]
    except Exception:  # names are code, which may fail in any way
        return hint


def located(hint: object, frame: FrameType | None) -> object:
    """Return a hint whose names are looked up where it was written, now or when they are there.

    Parameters
    ----------
    hint : object
        A hint that may be, or have in it, a name as text.
    frame : frame, optional
        What wrote it.

    Returns
    -------
    object
        The hint, with references to its module for what is not known yet.

    Raises
    ------
    SyntaxError
        The text is no expression.
    """
    if frame is None or not has_names(hint):
        return hint
    code = frame.f_code
    # Names of the function that writes it are known to it, as they are to what that function defines.
    stands_in = f"{code.co_qualname}.<locals>.hint" if code.co_flags & CO_OPTIMIZED else code.co_qualname
    around = names_around(texts_in(hint), stands_in, frame.f_globals, frame)
    found = _evaluated(hint, frame.f_globals, around)
    return _referring(found, frame.f_globals.get("__name__")) if has_names(found) else found


def has_names(hint: object) -> bool:
    """Return whether a hint is, or has in it, a name as text."""
    return isinstance(hint, str | ForwardRef) or any(map(has_names, _hints_in(hint)))


def _texts_in(hint: object) -> Iterator[str]:
    if isinstance(hint, str | ForwardRef):
        yield hint if isinstance(hint, str) else hint.__forward_arg__
    for inner in _hints_in(hint):
        yield from _texts_in(inner)


def texts_in(hint: object) -> tuple[str, ...]:
    """Return the names as text that a hint is, or has in it."""
    return () if type(hint) is type else tuple(_texts_in(hint))


def _hints_in(hint: object) -> tuple[object, ...]:
    return () if get_origin(hint) is Literal or type(hint) is type else get_args(hint)


def _referring(hint: Any, module: Any) -> Any:
    """Return a hint whose names know the module in which they are to be looked up."""
    if isinstance(hint, str):
        return ForwardRef(hint, module=module)
    if isinstance(hint, ForwardRef):
        known = getattr(hint, "__forward_module__", None)
        return hint if known is not None else ForwardRef(hint.__forward_arg__, module=module)
    if not has_names(hint):
        return hint
    if is_union(hint):
        return Union[tuple(_referring(member, module) for member in get_args(hint))]  # noqa: UP007 - a tuple of members
    if type(hint) is GenericAlias:
        origin: Any = hint.__origin__
        return GenericAlias(origin, tuple(_referring(member, module) for member in hint.__args__))
    return hint


def is_anything(hint: object) -> bool:
    """Return whether every value is of a type that was read."""
    return hint is Any or hint is object


def is_union(hint: object) -> bool:
    """Return whether a hint is a union."""
    return get_origin(hint) in (Union, UnionType)


def members(hint: object) -> tuple[object, ...]:
    """Return the members of a union, or the hint alone."""
    return get_args(hint) if is_union(hint) else (hint,)


def struct_fields(hint: object) -> tuple[dict[str, object], frozenset[str]] | None:
    """Return the keys of a `TypedDict` with their types, and which are required; ``None`` for anything else."""
    kind = get_origin(hint) or hint
    is_one = is_typeddict(kind) or (isinstance(kind, type) and hasattr(kind, "__required_keys__") and kind is not dict)
    if not is_one:
        return None
    try:
        fields = get_type_hints(kind, include_extras=True)
    except Exception:  # names are code, which may fail in any way
        return {}, frozenset()
    # Annotations that were text when the class was made have not told it that a key is not required.
    required = {key for key in getattr(kind, "__required_keys__", ()) if get_origin(fields.get(key)) is not NotRequired}
    return fields, frozenset(required)


def describe(hint: object) -> str:
    """Return a type hint as a person writes it.

    Parameters
    ----------
    hint : type or type hint
        The hint.

    Returns
    -------
    str
        The text.

    Examples
    --------
    >>> from collections import OrderedDict
    >>> describe(int), describe(list[int]), describe(int | None), describe(OrderedDict), describe(None)
    ('int', 'list[int]', 'int | None', 'collections.OrderedDict', 'None')
    """
    if hint is None or hint is NoneType:
        return "None"
    if hint is Any:
        return "Any"
    if isinstance(hint, str):
        return hint
    if isinstance(hint, ForwardRef):
        return hint.__forward_arg__
    if is_union(hint):
        return " | ".join(describe(member) for member in get_args(hint))
    if isinstance(hint, FileKind):
        return hint.__name__
    if isinstance(hint, type) and get_origin(hint) is None:
        module = "" if hint.__module__ in ("builtins", "__main__") else f"{hint.__module__}."
        return f"{module}{hint.__qualname__}"
    if isinstance(hint, ArraySpec | ValueSpec):
        return repr(hint)
    if (schema := schema_of_library(hint)) is not None:
        return repr(schema)
    return _VARIANCE.sub("", repr(hint).replace("typing.", ""))
