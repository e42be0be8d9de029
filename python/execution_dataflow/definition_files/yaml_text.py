"""Definitions as YAML: PyYAML's parser gives events, of which only plain data is made here.

No constructor of PyYAML runs. What a plain scalar is follows the core schema of YAML 1.2, so that ``no`` and ``12:30``
are texts; aliases are followed, as far as the whole stays small.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple, NoReturn

from execution_dataflow.definition_files.located import MAX_DEPTH, Faults, Located, Path, TextError
from execution_dataflow.errors import MissingExtraError

__all__ = ["read_yaml", "write_yaml"]

# Aliases repeat what they name: a few lines could stand for more values than there is memory.
_MOST_VALUES_OF_ALIASES = 1_000_000

_PREFIX = "tag:yaml.org,2002:"
_NULL = re.compile(r"~|null|Null|NULL|")
_BOOL = re.compile(r"true|True|TRUE|false|False|FALSE")
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(
    r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
)
_KINDS = (("null", _NULL), ("bool", _BOOL), ("int", _INT), ("float", _FLOAT))


def _yaml() -> Any:
    try:
        import yaml
    except ModuleNotFoundError as error:
        if error.name != "yaml":
            raise
        raise MissingExtraError("yaml", "a definition in YAML") from None
    return yaml


class _Open(NamedTuple):
    """A collection whose end has not come, with what it will be."""

    located: Located
    anchor: str | None
    size: list[int]
    """How many values are in it, and how deep they nest."""
    key: list[tuple[str, tuple[int, int]]]
    """The name whose value comes next, in a mapping."""


class _Known(NamedTuple):
    located: Located
    values: int
    depth: int


class _Reader:
    def __init__(self, text: str, faults: Faults) -> None:
        self._text = text
        self._faults = faults
        self._yaml = _yaml()
        self._open: list[_Open] = []
        self._anchors: dict[str, _Known | None] = {}
        self._repeated = 0
        self._root: Located | None = None

    def document(self) -> Located:
        for event in self._events():
            self._take(event)
        if self._root is None:
            raise TextError("the file is empty; a definition begins with `version: 1`", 1, 1)
        return self._root

    def _events(self) -> Iterator[Any]:
        yaml = self._yaml
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        try:
            yield from yaml.parse(self._text, Loader=loader)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            problem = error.problem or error.context or "this is no YAML"
            place = (None, None) if mark is None else (mark.line + 1, mark.column + 1)
            if mark is not None and self._character(mark.line, mark.column) == "\t":
                problem = f"a tab cannot indent; use spaces ({problem})"
            raise TextError(problem, *place) from None
        except yaml.reader.ReaderError as error:
            before = self._text[: error.position]
            raise TextError(
                "a control character cannot stand in YAML; write it as an escape in double quotes",
                before.count("\n") + 1,
                len(before) - before.rfind("\n"),
            ) from None
        except yaml.YAMLError as error:
            raise TextError(f"this is no YAML: {error}") from None

    def _character(self, line: int, column: int) -> str:
        lines = self._text.split("\n", line + 1)
        return lines[line][column : column + 1] if line < len(lines) else ""

    def _take(self, event: Any) -> None:
        yaml = self._yaml
        if isinstance(event, yaml.ScalarEvent):
            self._scalar(event)
        elif isinstance(event, yaml.AliasEvent):
            self._alias(event)
        elif isinstance(event, yaml.SequenceStartEvent | yaml.MappingStartEvent):
            self._begin(event, isinstance(event, yaml.MappingStartEvent))
        elif isinstance(event, yaml.CollectionEndEvent):
            self._end()
        elif isinstance(event, yaml.DocumentStartEvent) and self._root is not None:
            self._refuse("there is a second document; a file holds one definition", event)

    def _refuse(self, problem: str, event: Any) -> NoReturn:
        raise TextError(problem, event.start_mark.line + 1, event.start_mark.column + 1)

    def _path(self) -> Path:
        path: list[str | int] = []
        for opened in self._open:
            if isinstance(opened.located.value, list):
                path.append(len(opened.located.value))
            elif opened.key:
                path.append(opened.key[0][0])
        return tuple(path)

    def _begin(self, event: Any, is_mapping: bool) -> None:
        self._check_key(event)
        if event.tag not in (None, "!", f"{_PREFIX}{'map' if is_mapping else 'seq'}"):
            self._refuse_tag(event)
        if len(self._open) >= MAX_DEPTH:
            self._refuse(f"values nest more than {MAX_DEPTH} deep", event)
        mark = event.start_mark
        located = Located({} if is_mapping else [], mark.line + 1, mark.column + 1)
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        self._open.append(_Open(located, event.anchor, [1, 1], []))

    def _end(self) -> None:
        opened = self._open.pop()
        values, depth = opened.size
        if opened.anchor is not None:
            self._anchors[opened.anchor] = _Known(opened.located, values, depth)
        self._put(opened.located, values, depth)

    def _alias(self, event: Any) -> None:
        self._check_key(event)
        if event.anchor not in self._anchors:
            self._refuse(f"there is no anchor &{event.anchor} before this alias", event)
        known = self._anchors[event.anchor]
        if known is None:
            self._refuse(f"*{event.anchor} stands within &{event.anchor} itself: it would have no end", event)
        self._repeated += known.values
        if self._repeated > _MOST_VALUES_OF_ALIASES:
            self._refuse(f"the aliases of this file repeat more than {_MOST_VALUES_OF_ALIASES:,} values", event)
        if len(self._open) + known.depth > MAX_DEPTH:
            self._refuse(f"with its aliases, values nest more than {MAX_DEPTH} deep", event)
        mark = event.start_mark
        self._put(Located(known.located.value, mark.line + 1, mark.column + 1), known.values, known.depth)

    def _scalar(self, event: Any) -> None:
        mark = event.start_mark
        value = self._value_of(event)
        opened = self._open[-1] if self._open else None
        if opened is not None and isinstance(opened.located.value, dict) and not opened.key:
            if not isinstance(value, str):
                self._refuse(
                    f"a name is a text, and {event.value or 'nothing'} is none here; write it in quotes, or write "
                    "{$dict: [[key, value], ...]} for a mapping of other things",
                    event,
                )
            opened.key.append((value, (mark.line + 1, mark.column + 1)))
            return
        located = Located(value, mark.line + 1, mark.column + 1)
        if event.anchor is not None:
            self._anchors[event.anchor] = _Known(located, 1, 0)
        self._put(located, 1, 0)

    def _put(self, located: Located, values: int, depth: int) -> None:
        if not self._open:
            self._root = located
            return
        opened = self._open[-1]
        opened.size[0] += values
        opened.size[1] = max(opened.size[1], depth + 1)
        if isinstance(opened.located.value, list):
            opened.located.value.append(located)
            return
        path = self._path()
        name, place = opened.key.pop()
        located.key_place = place
        if name in opened.located.value:
            self._faults.note(f"{name!r} stands here a second time", *place, path)
        else:
            opened.located.value[name] = located

    def _check_key(self, event: Any) -> None:
        opened = self._open[-1] if self._open else None
        if opened is not None and isinstance(opened.located.value, dict) and not opened.key:
            self._refuse("a name is a text, and no list, mapping or alias", event)

    def _refuse_tag(self, event: Any) -> NoReturn:
        self._refuse(f"the tag {event.tag.replace(_PREFIX, '!!')} is not allowed; a definition is plain data", event)

    def _value_of(self, event: Any) -> Any:
        text: str = event.value
        if event.tag is None or event.tag == "!":
            if not event.implicit[0]:
                return text
            kind = next((kind for kind, pattern in _KINDS if pattern.fullmatch(text)), "str")
        else:
            kind = event.tag.removeprefix(_PREFIX)
            pattern = dict(_KINDS).get(kind)
            if kind != "str" and (pattern is None or not event.tag.startswith(_PREFIX)):
                self._refuse_tag(event)
            if pattern is not None and not pattern.fullmatch(text):
                self._refuse(f"{text!r} is no !!{kind}", event)
        if kind == "null":
            return None
        if kind == "bool":
            return text.lower() == "true"
        if kind == "int":
            return self._int(text, event)
        return self._float(text, event) if kind == "float" else text

    def _int(self, text: str, event: Any) -> int:
        try:
            return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))
        except ValueError:
            self._refuse("the number has too many digits", event)

    def _float(self, text: str, event: Any) -> float:
        word = text.lower().lstrip("+-")
        if word in (".inf", ".nan"):
            return float(text.replace(".", ""))
        number = float(text)
        if number in (float("inf"), float("-inf")):
            self._refuse(f"the number {text} is too large for a float; infinity is .inf", event)
        return number


def read_yaml(text: str, faults: Faults) -> Located:
    """Read a definition in YAML; raises `TextError` where it cannot go on."""
    return _Reader(text, faults).document()


@cache
def _dumper() -> Any:
    yaml = _yaml()

    class Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc] # a class of an optional library
        """Quotes what the reader above would take for something other than a text."""

        def ignore_aliases(self, data: Any) -> bool:
            return True

    for kind, pattern in _KINDS:
        Dumper.add_implicit_resolver(f"{_PREFIX}{kind}", re.compile(rf"(?:{pattern.pattern})\Z"), None)
    return Dumper


def write_yaml(document: dict[str, Any]) -> str:
    """Write a definition as YAML."""
    text: str = _yaml().dump(
        document, Dumper=_dumper(), sort_keys=False, allow_unicode=True, default_flow_style=None, width=110
    )
    return text
