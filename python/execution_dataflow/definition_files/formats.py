"""Which format a file has, and its text."""

from __future__ import annotations

from pathlib import PurePath
from typing import Any, Literal, TypeAlias, get_args

from execution_dataflow.definition_files.located import Faults, Located, TextError, TextPlaces
from execution_dataflow.nearest import nearest_name

__all__ = ["Format", "check_format", "decoded", "format_of", "read", "write"]

Format: TypeAlias = Literal["yaml", "json", "toml"]
"""How a definition is written."""

_SUFFIXES: dict[str, Format] = {".yaml": "yaml", ".yml": "yaml", ".json": "json", ".toml": "toml"}


def check_format(given: object) -> Format:
    """Return `given` if it is a format.

    Raises
    ------
    ValueError
        It is none.
    """
    choices = get_args(Format)
    for choice in choices:
        if given == choice:
            return choice  # type: ignore[no-any-return] # one of the literals
    nearest = nearest_name(given, choices) if isinstance(given, str) else None
    meant = f"; did you mean {nearest!r}?" if nearest else ""
    raise ValueError(f"format must be one of {', '.join(map(repr, choices))}, not {given!r}{meant}")


def format_of(path: PurePath, given: object = None) -> Format:
    """Return the format of a file by what was given, or else by the end of its name.

    Raises
    ------
    ValueError
        Neither says it.
    """
    if given is not None:
        return check_format(given)
    found = _SUFFIXES.get(path.suffix.lower())
    if found is None:
        raise ValueError(f"the name of {path} ends with none of {', '.join(_SUFFIXES)}; say which format= it has")
    return found


def decoded(content: bytes) -> str:
    """Return the text of a file; raises `TextError` if it is none."""
    try:
        return content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        before = content[: error.start]
        line, column = before.count(b"\n") + 1, error.start - before.rfind(b"\n")
        raise TextError(f"the file is no UTF-8 text: {error.reason}", line, column) from None


def read(text: str, form: Format, faults: Faults) -> Located:
    """Return what a text holds; raises `TextError` where it cannot be read any further."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise TextError("half of a surrogate pair is no character", *TextPlaces(text).of(error.start)) from None
    if form == "json":
        from execution_dataflow.definition_files.json_text import read_json

        return read_json(text, faults)
    if form == "yaml":
        from execution_dataflow.definition_files.yaml_text import read_yaml

        return read_yaml(text, faults)
    from execution_dataflow.definition_files.toml_text import read_toml

    return read_toml(text, faults)


def write(document: dict[str, Any], form: Format) -> str:
    """Return a definition as text."""
    if form == "json":
        from execution_dataflow.definition_files.json_text import write_json

        return write_json(document)
    if form == "yaml":
        from execution_dataflow.definition_files.yaml_text import write_yaml

        return write_yaml(document)
    from execution_dataflow.definition_files.toml_text import write_toml

    return write_toml(document)
