"""A graph from plain data, with every fault and its place."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import count
from pathlib import Path as FilePath
from typing import Any

from execution_dataflow.bindings import Constant, read_bindings
from execution_dataflow.composition.flattening import CONSTANT
from execution_dataflow.definition_files.allowed import Allowed
from execution_dataflow.definition_files.formats import decoded, format_of, read
from execution_dataflow.definition_files.located import Faults, Located, Path, TextError
from execution_dataflow.definition_files.operation_reading import OperationReader, members_of
from execution_dataflow.definition_files.plain_values import decode
from execution_dataflow.definition_files.writing import VERSION
from execution_dataflow.mapping import MappedOperation, source_fault
from execution_dataflow.names import stable_names
from execution_dataflow.nearest import nearest_name
from execution_dataflow.operations import Operation, OutputReference

__all__ = ["Reading"]

_GRAPH = ("name", "contracts", "parameters", "operations", "outputs", "connections", "dependencies")
_OPERATION = (
    *("operation", "outputs", "arguments", "options", "map", "repeat", "graph", "parameter"),
    *("inputs", "constants", "after"),
)
_KINDS = ("operation", "map", "repeat", "graph", "parameter")
_DEEPEST = 50
_MOST_MENTIONS = 1000


class Reading:
    """Makes graphs of what was read from files.

    Parameters
    ----------
    new_graph : callable
        Makes an empty graph with a name.
    allowed : Allowed
        What may be named.
    faults : Faults
        Where faults go.
    file : Path, optional
        The file, to which the names of other files are relative.
    around : tuple of Path
        The files that have named this one.
    mentions : iterator of int
        Counts the files that are named by files, over all that one definition takes in.
    """

    def __init__(
        self,
        new_graph: Callable[..., Any],
        allowed: Allowed,
        faults: Faults,
        file: FilePath | None = None,
        around: tuple[FilePath, ...] = (),
        mentions: Iterator[int] | None = None,
    ) -> None:
        self._new_graph = new_graph
        self._allowed = allowed
        self._faults = faults
        self._file = file
        self._around = around
        self._mentions = count(1) if mentions is None else mentions
        self._reader = OperationReader(allowed, faults, self._nested, new_graph)

    def document(self, located: Located) -> Any:
        """Return the graph of a whole file; what is wrong goes to the faults."""
        members = members_of(located, (), ("version", *_GRAPH), "a definition", self._faults, required=("version",))
        if members is None:
            return None
        version = members.get("version")
        if version is not None and (type(version.value) is not int or version.value != VERSION):
            self._faults.add(
                "this version of execution-dataflow cannot read the file", ("version",), version, expected=str(VERSION)
            )
        return self.graph(members, (), located)

    def graph(self, members: dict[str, Located], path: Path, at: Located) -> Any:
        """Return the graph that members of a mapping describe."""
        name = members.get("name")
        if name is not None and not isinstance(name.value, str):
            self._faults.add("the name of a graph is a text", (*path, "name"), name, expected="a text")
            name = None
        level = members.get("contracts")
        if level is not None and level.value not in ("values", "connect", "off"):
            expected = "'values', 'connect' or 'off'"
            self._faults.add("this is no level of contracts", (*path, "contracts"), level, expected=expected)
            level = None
        contracts = {} if level is None else {"contracts": level.value}
        graph = self._new_graph(None if name is None else name.value, **contracts)
        made = _Operations(self, graph, self._faults, path)
        for part in ("parameters", "operations"):
            for key, entry in self._entries(members.get(part), (*path, part)):
                made.add(key, entry, is_parameter=part == "parameters")
        made.settle()
        made.connect(members)
        return graph

    def _entries(self, located: Located | None, path: Path) -> list[tuple[str, Located]]:
        if located is None:
            return []
        if not isinstance(located.value, dict):
            self._faults.add(f"{path[-1]} are given by their names", path, located, expected="a mapping")
            return []
        return list(located.value.items())

    def operation(self, key: str, entry: Located, path: Path) -> tuple[Operation | None, dict[str, Located]]:
        """Return an operation, or ``None`` after a fault, and the members that describe it."""
        members = members_of(entry, path, _OPERATION, "an operation", self._faults)
        if members is None:
            return None, {}
        kinds = [kind for kind in _KINDS if kind in members]
        if len(kinds) > 1 and set(kinds) != {"operation", "map"}:
            self._faults.add(
                "an entry is one thing", path, entry, expected=f"one of {', '.join(_KINDS)}", found=" and ".join(kinds)
            )
            return None, members
        if "parameter" in members:
            return self._reader.parameter(key, members["parameter"], (*path, "parameter")), members
        if "graph" in members:
            made = self._nested(members["graph"], (*path, "graph"))
            if "options" in members:
                self._reader.give_options(made, members["options"], (*path, "options"))
            return made, members
        return self._reader.make(members, path, entry), members

    def _nested(self, located: Located, path: Path) -> Operation | None:
        before = len(self._faults)
        if isinstance(located.value, str):
            graph = self._of_file(located, path)
        else:
            members = members_of(located, path, _GRAPH, "a nested graph", self._faults)
            graph = None if members is None else self.graph(members, path, located)
        if graph is None or len(self._faults) > before:
            return None
        try:
            nested: Operation = graph.as_operation()
        except Exception as error:
            self._faults.add(f"{type(error).__name__}: {error}", path, located)
            return None
        return nested

    def _of_file(self, located: Located, path: Path) -> Any:
        if self._file is None:
            self._faults.add("a text that is in no file cannot name other files", path, located)
            return None
        folder = FilePath(os.path.abspath(self._file)).parent
        file = FilePath(os.path.abspath(folder / located.value))
        if "\0" in located.value or not file.is_relative_to(folder):
            self._faults.add("a file names only files beside or below it", path, located, expected="a relative path")
            return None
        around = (*self._around, FilePath(os.path.abspath(self._file)))
        if file in around:
            self._faults.add("a file cannot be part of itself", path, located)
            return None
        number = next(self._mentions)
        if len(around) > _DEEPEST or number > _MOST_MENTIONS:
            # Few small files that name each other can stand for any number of graphs. One fault tells of all.
            if len(around) > _DEEPEST or number == _MOST_MENTIONS + 1:
                self._faults.add(
                    f"files name files at most {_DEEPEST} deep, and {_MOST_MENTIONS:,} times in all; build the graph "
                    "in code",
                    path,
                    located,
                )
            return None
        try:
            form, content = format_of(file), file.read_bytes()
        except (OSError, ValueError) as error:
            self._faults.add(f"{located.value} cannot be read: {error}", path, located)
            return None
        faults = self._faults.of_file(str(self._file.parent / located.value))
        inner = Reading(self._new_graph, self._allowed, faults, file, around, self._mentions)
        try:
            return inner.document(read(decoded(content), form, faults))
        except TextError as error:
            faults.note(error.problem, error.line, error.column)
            return None


class _Operations:
    """The operations of one graph, by the names that its file gives them."""

    def __init__(self, reading: Reading, graph: Any, faults: Faults, path: Path) -> None:
        self._reading = reading
        self._graph = graph
        self._faults = faults
        self._path = path
        # None for one that has a fault: what is connected to it has none for that.
        self._made: dict[str, Operation | None] = {}
        self._entries: dict[str, tuple[Located, dict[str, Located]]] = {}
        self._named_in_options: set[str] = set()

    def add(self, key: str, entry: Located, *, is_parameter: bool) -> None:
        path = (*self._path, "parameters" if is_parameter else "operations", key)
        if not key:
            self._faults.add("a name must not be empty", path, entry, by_key=True)
            return
        if key in self._made:
            self._faults.add(f"there is a parameter {key!r} already", path, entry, by_key=True)
            return
        members: dict[str, Located] = {}
        if is_parameter:
            self._made[key] = self._reading._reader.parameter(key, entry, path)
        else:
            self._made[key], members = self._reading.operation(key, entry, path)
        self._entries[key] = entry, members
        self._check_name(key, members, path)

    def _check_name(self, key: str, members: Mapping[str, Located], path: Path) -> None:
        options = members.get("options")
        name = options.value.get("name") if options is not None and isinstance(options.value, dict) else None
        if name is None:
            return
        self._named_in_options.add(key)
        if name.value != key:
            self._faults.add(
                "an operation is called what it is called in the file",
                (*path, "options", "name"),
                name,
                expected=repr(key),
            )

    def settle(self) -> None:
        """Name the operations, and add them to the graph in the order of the file."""
        made = {key: operation for key, operation in self._made.items() if operation is not None}
        _name(made, self._named_in_options)
        builder = self._graph._building.builder
        for key, operation in made.items():
            entry, _ = self._entries[key]
            line, _ = entry.key_place or (entry.line, entry.column)
            builder.tell_place(f"{self._faults.file}:{line}")
            try:
                self._graph.add_operation(operation)
            except Exception as error:
                self._faults.add(f"{type(error).__name__}: {error}", self._of(key), entry, by_key=True)
                self._made[key] = None
            finally:
                builder.tell_place(None)

    def _of(self, key: str) -> Path:
        return (*self._path, "operations", key)

    def connect(self, members: Mapping[str, Located]) -> None:
        for key, (_, given) in self._entries.items():
            for name, port in self._ports(key, given.get("constants"), "constants"):
                self._bind(key, name, port)
        for key, (_, given) in self._entries.items():
            for name, port in self._ports(key, given.get("inputs"), "inputs"):
                self._connect(key, name, port)
        for source, target, item in self._pairs(members.get("connections"), "connections"):
            self._connect_pair(source, target, item)
        for key, (_, given) in self._entries.items():
            self._order_after(key, given.get("after"))
        for before, after, item in self._pairs(members.get("dependencies"), "dependencies"):
            where = (*self._path, "dependencies", item)
            self._order(self._named(before, (*where, 0)), self._named(after, (*where, 1)), after, where)
        for name, source in self._reading._entries(members.get("outputs"), (*self._path, "outputs")):
            where = (*self._path, "outputs", name)
            reference = self._source(source, where)
            if reference is not None:
                self._try(partial(self._graph.output, name, reference), where, source)

    def _try(self, step: Callable[[], Any], path: Path, located: Located, *, by_key: bool = False) -> Any:
        try:
            return step()
        except Exception as error:
            self._faults.add(str(error), path, located, by_key=by_key)
            return None

    def _ports(self, key: str, located: Located | None, part: str) -> list[tuple[str, Located]]:
        """Return what inputs of an operation were given, without those that it has not."""
        operation, path = self._made[key], (*self._of(key), part)
        if located is None:
            return []
        if not isinstance(located.value, dict):
            self._faults.add(f"{part} are given by the names of the inputs", path, located, expected="a mapping")
            return []
        if operation is None:
            return list(located.value.items())  # what its inputs are called is not known, and what feeds them is
        known = list(operation.ports.input_index)
        given = []
        for name, member in located.value.items():
            if name in known:
                given.append((name, member))
            else:
                self._faults.unknown_name("input", name, known, (*path, name), member)
        return given

    def _bind(self, key: str, name: str, located: Located) -> None:
        path = (*self._of(key), "constants", name)
        before = len(self._faults)
        value = decode(located, path, self._faults)
        if len(self._faults) == before:
            self._bind_value(key, name, value, path, located)

    def _bind_value(self, key: str, name: str, value: Any, path: Path, located: Located) -> None:
        operation = self._made[key]
        if operation is None:
            return
        if isinstance(operation, MappedOperation) and name in operation.over:
            fault = source_fault(value)
            if fault is not None:
                self._faults.add(f"nothing can be mapped over {fault}", path, located)
                return
        builder = self._graph._building.builder

        def bind() -> None:
            node = builder.index_of(operation)
            for binding in read_bindings(operation, {name: value}, lambda *_: None):
                assert isinstance(binding, Constant)
                builder.bind_source(node, binding.input, (CONSTANT, binding.value))

        self._try(bind, path, located)

    def _connect(self, key: str, name: str, located: Located) -> None:
        path = (*self._of(key), "inputs", name)
        items = located.value if isinstance(located.value, list) else [located]
        for index, item in enumerate(items):
            where = path if items is not located.value else (*path, index)
            constant = item.value.get("constant") if isinstance(item.value, dict) and len(item.value) == 1 else None
            if constant is not None and items is located.value:
                before = len(self._faults)
                value = decode(constant, (*where, "constant"), self._faults)
                if len(self._faults) == before:
                    # In a list of its own: an item that is a list is one value.
                    self._bind_value(key, name, [value], (*where, "constant"), constant)
                continue
            reference = self._source(item, where)
            if reference is not None:
                self._join(reference, self._made[key], name, where, item)

    def _join(self, source: OutputReference, target: Operation | None, name: str, path: Path, at: Located) -> None:
        if target is not None:
            self._try(lambda: self._graph.connect(source.operation, source.port_name, target, name), path, at)

    def _pairs(self, located: Located | None, part: str) -> list[tuple[Located, Located, int]]:
        path = (*self._path, part)
        if located is None:
            return []
        if not isinstance(located.value, list):
            self._faults.add(f"{part} are a list of pairs", path, located, expected="a list")
            return []
        pairs = []
        for index, item in enumerate(located.value):
            if isinstance(item.value, list) and len(item.value) == 2:
                pairs.append((item.value[0], item.value[1], index))
            else:
                self._faults.add("this is no pair", (*path, index), item, expected="a list of two texts")
        return pairs

    def _connect_pair(self, source: Located, target: Located, index: int) -> None:
        path = (*self._path, "connections", index)
        reference = self._source(source, (*path, 0))
        if not isinstance(target.value, str) or "." not in target.value:
            self._faults.add("this is no input", (*path, 1), target, expected="an input such as 'clean.raw'")
            return
        key, _, name = target.value.rpartition(".")
        operation = self._named(Located(key, target.line, target.column), (*path, 1))
        if operation is None or reference is None:
            return
        if name not in operation.ports.input_index:
            self._faults.unknown_name("input", name, operation.ports.input_index, (*path, 1), target)
            return
        self._join(reference, operation, name, (*path, 1), target)

    def _order_after(self, key: str, located: Located | None) -> None:
        if located is None:
            return
        path = (*self._of(key), "after")
        items = located.value if isinstance(located.value, list) else [located]
        for index, item in enumerate(items):
            where = path if items is not located.value else (*path, index)
            self._order(self._named(item, where), self._made[key], item, where)

    def _order(self, before: Operation | None, after: Operation | None, at: Located, path: Path) -> None:
        if before is not None and after is not None:
            self._try(lambda: self._graph.add_dependency(before, after), path, at)

    def _named(self, located: Located, path: Path) -> Operation | None:
        """Return the operation of a name."""
        if not isinstance(located.value, str):
            self._faults.add("an operation is given by its name", path, located, expected="a text")
            return None
        if located.value not in self._made:
            self._faults.unknown_name("operation", located.value, self._made, path, located)
            return None
        return self._made[located.value]

    def _source(self, located: Located, path: Path) -> OutputReference | None:
        """Return the output that a text names: ``operation.port``, or an operation that has one output."""
        if not isinstance(located.value, str):
            self._faults.add(
                "an input takes the output of an operation; a constant stands in 'constants'",
                path,
                located,
                expected="an output such as 'load.result'",
            )
            return None
        head, _, port = located.value.rpartition(".")
        if head in self._made:
            operation = self._made[head]
            if operation is None:
                return None
            if port in operation.ports.output_index:
                return OutputReference(operation, port)
            if located.value not in self._made:
                known = [f"{head}.{name}" for name in operation.ports.output_index]
                self._unknown_source(f"{head} has no output {port!r}", known, path, located)
                return None
        if located.value not in self._made:
            known = [*self._made, *(f"{name}.{port}" for name in self._made)] if head else list(self._made)
            self._unknown_source(f"there is no operation {head or located.value!r}", known, path, located)
            return None
        operation = self._made[located.value]
        if operation is None:
            return None
        outputs = list(operation.ports.output_index)
        if len(outputs) == 1:
            return OutputReference(operation, outputs[0])
        choices = " or ".join(repr(f"{located.value}.{name}") for name in outputs) or "one that has an output"
        problem = f"{located.value} has {len(outputs)} outputs"
        self._faults.add(problem, path, located, expected=choices, found=repr(located.value))
        return None

    def _unknown_source(self, problem: str, known: Sequence[str], path: Path, located: Located) -> None:
        self._faults.add(
            problem,
            path,
            located,
            expected="an output such as 'load.result'",
            found=repr(located.value),
            nearest=nearest_name(located.value, known),
        )


def _name(operations: Mapping[str, Operation], explicit: set[str]) -> None:
    """Let operations have the names of a file: as far as can be, those that a graph gives them by itself."""
    given = {key for key, operation in operations.items() if key in explicit or not _may_be_implicit(key, operation)}
    nodes = list(operations.values())
    while True:
        for key in given:
            operations[key].name = key
        names = stable_names(nodes)
        others = {key for key, name in zip(operations, names, strict=True) if key != name} - given
        if not others:
            return
        given |= others


def _may_be_implicit(key: str, operation: Operation) -> bool:
    if operation.name is not type(operation).name:
        return False  # its constructor or its parameter has named it
    label = operation.name or operation._implicit_name()
    return key == label or (key.startswith(f"{label}_") and key[len(label) + 1 :].isdigit())
