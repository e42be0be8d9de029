"""The options of operations as plain data, and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from execution_dataflow.caching.policy import CachePolicy
from execution_dataflow.definition_files.allowed import Allowed, RefusedNameError
from execution_dataflow.definition_files.located import Faults, Located, Path
from execution_dataflow.definition_files.plain_values import Encoder, NotPlainError, decode
from execution_dataflow.definition_files.references import exception_reference, reference_of
from execution_dataflow.policies import RetryPolicy
from execution_dataflow.rate_limits import RateLimit

__all__ = ["decode_option", "encode_option", "made"]

_EXCEPTIONS = ("retry_on", "give_up_on")
_FUNCTIONS = ("key",)
_RECORDS: dict[str, type[Any]] = {"retry_policy": RetryPolicy, "rate_limit": RateLimit, "cache": CachePolicy}
_DEFAULTS: dict[str, Any] = {"retry_policy": RetryPolicy(), "rate_limit": RateLimit(1), "cache": CachePolicy()}


def encode_option(option: str, value: Any, encoder: Encoder) -> Any:
    """Return the value of an option as plain data.

    Raises
    ------
    NotPlainError, NoReferenceError
        It cannot be written.
    """
    if option == "cache" and value is None:
        return False
    record = _RECORDS.get(option)
    if record is None or value is None:
        return encoder.encode(dict(value) if isinstance(value, Mapping) else _listed(value))
    if type(value) is not record:
        raise NotPlainError(f"{type(value).__name__} cannot be written; give a {record.__name__} itself")
    if option == "cache" and value == _DEFAULTS[option]:
        return True
    written: dict[str, Any] = {}
    for field in fields(record):
        part = getattr(value, field.name)
        if field.name in _EXCEPTIONS:
            if part != getattr(_DEFAULTS[option], field.name):
                many = isinstance(part, tuple)
                written[field.name] = list(map(exception_reference, part)) if many else exception_reference(part)
        elif field.name in _FUNCTIONS and part is not None:
            written[field.name] = reference_of(part)
        elif field.name in ("count", "max_attempts") or part != getattr(_DEFAULTS[option], field.name):
            written[field.name] = encoder.encode(part)
    return written


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def decode_option(option: str, located: Located, path: Path, allowed: Allowed, faults: Faults) -> Any:
    """Return the value of an option, with a fault for what is wrong in it.

    Parameters
    ----------
    option : str
        Its name.
    located : Located
        What the file has.
    path : tuple of (str or int)
        Where in the definition.
    allowed : Allowed
        Which exceptions may be named.
    faults : Faults
        Where faults go.

    Returns
    -------
    object
        The value; ``None`` also after a fault.
    """
    record = _RECORDS.get(option)
    if record is None or located.value is None or (option == "cache" and isinstance(located.value, bool)):
        return decode(located, path, faults)
    if not isinstance(located.value, dict):
        faults.add(f"{option} is a mapping of its parts", path, located, expected="a mapping")
        return None
    known = [field.name for field in fields(record)]
    parts: dict[str, Any] = {}
    before = len(faults)
    for name, part in located.value.items():
        if name not in known:
            faults.unknown_name(f"part of {option}", name, known, (*path, name), part)
        elif name in _EXCEPTIONS:
            parts[name] = _exceptions(part, (*path, name), allowed, faults)
        elif name in _FUNCTIONS and part.value is not None:
            parts[name] = _function(part, (*path, name), allowed, faults)
        else:
            parts[name] = decode(part, (*path, name), faults)
    if len(faults) > before:
        return None
    return made(lambda: record(**parts), path, located, faults)


def made(make: Callable[[], Any], path: Path, located: Located, faults: Faults) -> Any:
    """Return what `make` gives; the error of a value that is not possible becomes a fault."""
    try:
        return make()
    except Exception as error:
        faults.add(f"{type(error).__name__}: {error}", path, located)
        return None


def _function(located: Located, path: Path, allowed: Allowed, faults: Faults) -> Any:
    if not isinstance(located.value, str):
        faults.add("a function is given by its name", path, located, expected="a text such as 'mypackage:version_of'")
        return None
    try:
        return allowed.find(located.value)
    except RefusedNameError as error:
        faults.add(str(error), path, located, expected=error.expected, found=repr(located.value), nearest=error.nearest)
        return None


def _exceptions(located: Located, path: Path, allowed: Allowed, faults: Faults) -> Any:
    items = located.value if isinstance(located.value, list) else [located]
    kinds = []
    for index, item in enumerate(items):
        where = path if items is not located.value else (*path, index)
        if not isinstance(item.value, str):
            faults.add("an exception is given by its name", where, item, expected="a text such as 'OSError'")
            continue
        try:
            kinds.append(allowed.find_exception(item.value))
        except RefusedNameError as error:
            faults.add(str(error), where, item, expected=error.expected, found=repr(item.value), nearest=error.nearest)
    return tuple(kinds) if items is located.value else next(iter(kinds), ())
