"""The fields that dataclasses, attrs classes, pydantic models and enums declare, with what makes their methods."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from enum import Enum
from types import FunctionType
from typing import Any

from execution_dataflow.fingerprinting.walks import Walk

__all__ = ["GENERATED", "add_declared", "is_generated"]

GENERATED = frozenset(
    {
        *("__init__", "__repr__", "__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__", "__hash__"),
        *("__setattr__", "__delattr__", "__replace__", "__getstate__", "__setstate__", "_dataclass_getstate"),
        "_dataclass_setstate",
    }
)
"""Methods that a class may be given: they follow from its fields."""

_MADE_FROM_FIELDS = frozenset({"__dataclass_params__", "__attrs_attrs__"})
_TELLING = ("__init__", "__repr__", "__eq__", "__lt__", "__hash__", "__setattr__")
_OF_FIELDS = ("init", "repr", "compare", "hash", "kw_only")
_OF_ATTRIBUTES = ("init", "repr", "eq", "order", "hash", "kw_only", "alias")
_CALLED_BY_ATTRIBUTES = ("validator", "converter", "on_setattr", "eq_key", "order_key")
# Without what only tells people about a field.
_OF_PYDANTIC_FIELDS = (
    *("annotation", "default", "default_factory", "metadata", "alias", "validation_alias", "serialization_alias"),
    *("exclude", "exclude_if", "discriminator", "frozen", "validate_default", "repr", "init", "init_var", "kw_only"),
)
_OF_PYDANTIC_DECORATORS = ("fields", "mode", "each_item", "always", "check_fields", "when_used")
_PYDANTIC_DECORATORS = (
    *("validators", "field_validators", "root_validators", "model_validators", "field_serializers"),
    "model_serializers",
)
_FOR_PEOPLE = frozenset({"title", "json_schema_extra"})


def add_declared(walk: Walk, cls: type) -> None:
    """Add what a class declares, and which methods it was given for that."""
    known = vars(cls)
    if "__pydantic_fields__" in known:
        _add_pydantic(walk, cls)
    elif dataclasses.is_dataclass(cls):
        _add_fields(walk, cls)
    elif issubclass(cls, Enum):
        for name, member in cls.__members__.items():
            walk.text("member", name)
            walk.value(member.value, f"{cls.__qualname__}.{name}")
    elif "__attrs_attrs__" in known:
        _add_attributes(walk, cls)
    else:
        return
    walk.text("generated", *(name for name in _TELLING if is_generated(cls, known.get(name))))
    walk.add("hash", b"1" if "__hash__" in known and known["__hash__"] is None else b"0")


def is_generated(cls: type, member: Any) -> bool:
    """Return whether a member of a class is a method that it was given for its fields."""
    if not isinstance(member, FunctionType) or not _MADE_FROM_FIELDS & vars(cls).keys():
        return False
    return member.__code__.co_filename.startswith(("<string>", "<attrs generated"))


def _add_fields(walk: Walk, cls: Any) -> None:
    for name, field in vars(cls).get("__dataclass_fields__", {}).items():
        walk.text("field", name, *(repr(getattr(field, flag)) for flag in _OF_FIELDS))
        for default in (field.default, field.default_factory):
            if default is not dataclasses.MISSING:
                walk.value(default, f"the default of {cls.__qualname__}.{name}")
        _add_metadata(walk, cls, name, field.metadata)


def _add_attributes(walk: Walk, cls: Any) -> None:
    for attribute in vars(cls)["__attrs_attrs__"]:
        flags = (getattr(attribute, flag, None) for flag in _OF_ATTRIBUTES)
        walk.text("field", attribute.name, *map(repr, flags))
        walk.value(_plain_default(attribute.default), f"the default of {cls.__qualname__}.{attribute.name}")
        for name in _CALLED_BY_ATTRIBUTES:
            walk.value(getattr(attribute, name, None), f"the {name} of {cls.__qualname__}.{attribute.name}")
        _add_metadata(walk, cls, attribute.name, attribute.metadata)


def _add_metadata(walk: Walk, cls: type, name: str, metadata: Mapping[Any, Any]) -> None:
    if metadata:
        walk.add("metadata")
        walk.value(dict(metadata), f"the metadata of {cls.__qualname__}.{name}")


def _plain_default(default: Any) -> Any:
    if type(default).__module__.partition(".")[0] in {"attr", "attrs"}:
        return getattr(default, "factory", None)
    return default


# ---------------------------------------------------------------- pydantic


def _add_pydantic(walk: Walk, cls: Any) -> None:
    known = vars(cls)
    for name, field in known["__pydantic_fields__"].items():
        walk.text("field", name)
        _add_told(walk, field, _OF_PYDANTIC_FIELDS, f"{cls.__qualname__}.{name}")
    for name, attribute in sorted(known.get("__private_attributes__", {}).items()):
        walk.text("private", name)
        _add_told(walk, attribute, ("default", "default_factory"), f"{cls.__qualname__}.{name}")
    _add_configuration(walk, cls, known.get("model_config") or known.get("__pydantic_config__") or {})
    decorators = known.get("__pydantic_decorators__")
    for group in _PYDANTIC_DECORATORS:
        for name, decorator in getattr(decorators, group, {}).items():
            walk.text("decorator", group, name)
            _add_told(walk, decorator.info, _OF_PYDANTIC_DECORATORS, f"{cls.__qualname__}.{name}")


def _add_configuration(walk: Walk, cls: type, configuration: Mapping[str, Any]) -> None:
    for name, value in sorted(configuration.items()):
        if name not in _FOR_PEOPLE:
            walk.text("configuration", name)
            walk.value(value, f"{name!r} of the configuration of {cls.__qualname__}")


def _add_told(walk: Walk, described: Any, names: tuple[str, ...], place: str) -> None:
    """Add the attributes of a description that say something."""
    for name in names:
        value = getattr(described, name, None)
        if value is not None and type(value).__name__ != "PydanticUndefinedType":
            walk.text("told", name)
            walk.value(value, f"the {name} of {place}")
