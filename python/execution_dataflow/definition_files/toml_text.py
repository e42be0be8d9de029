"""Definitions as TOML: read by the standard library, written by tomli-w."""

from __future__ import annotations

import re
import tomllib
from typing import Any

from execution_dataflow.definition_files.located import MAX_DEPTH, Faults, Located, Path, TextError
from execution_dataflow.definition_files.toml_places import Place, toml_places
from execution_dataflow.errors import MissingExtraError

__all__ = ["read_toml", "write_toml"]

# TOML has no sign for nothing.
_NONE = {"$none": True}
_PLACE = re.compile(r"\s*\(at (?:line (\d+), column (\d+)|end of document)\)$")


def read_toml(text: str, faults: Faults) -> Located:
    """Read a definition in TOML; raises `TextError` where it cannot go on."""
    try:
        document = tomllib.loads(text)
        places = _places(text)
        return _located(document, (), places, (1, 1))
    except tomllib.TOMLDecodeError as error:
        message = str(error)
        place = _PLACE.search(message)
        problem = _PLACE.sub("", message)
        problem = f"{problem[:1].lower()}{problem[1:]}"
        if place is not None and place.group(1):
            raise TextError(problem, int(place.group(1)), int(place.group(2))) from None
        raise TextError(problem, text.count("\n") + 1, len(text) - text.rfind("\n")) from None
    except RecursionError:
        raise TextError(f"values nest more than {MAX_DEPTH} deep") from None
    except ValueError as error:  # an int with more digits than Python reads
        raise TextError(f"this is no TOML: {error}") from None


def _places(text: str) -> dict[Path, Place]:
    try:
        return toml_places(text.replace("\r\n", "\n"))
    except (ValueError, IndexError):
        return {}  # read by a parser of another version of TOML: faults are told by their path alone


def _located(value: Any, path: Path, places: dict[Path, Place], around: tuple[int, int]) -> Located:
    if len(path) > MAX_DEPTH:
        raise TextError(f"values nest more than {MAX_DEPTH} deep", *around)
    place = places.get(path, Place(around, None))
    line, column = place.value
    if value == _NONE:
        value = None
    elif isinstance(value, dict):
        value = {name: _located(member, (*path, name), places, place.value) for name, member in value.items()}
    elif isinstance(value, list):
        value = [_located(item, (*path, index), places, place.value) for index, item in enumerate(value)]
    return Located(value, line, column, place.key)


def write_toml(document: dict[str, Any]) -> str:
    """Write a definition as TOML."""
    try:
        import tomli_w
    except ModuleNotFoundError as error:
        if error.name != "tomli_w":
            raise
        raise MissingExtraError("toml", "writing a definition in TOML") from None
    text: str = tomli_w.dumps(_without_none(document))
    return text


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_none(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_without_none(item) for item in value]
    return _NONE if value is None else value
