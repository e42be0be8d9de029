"""Operations from plain data: what a file names is looked up, and made with the arguments that it gives."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from execution_dataflow.composition.parameter import Parameter
from execution_dataflow.definition_files.allowed import Allowed, RefusedNameError
from execution_dataflow.definition_files.located import Faults, Located, Path
from execution_dataflow.definition_files.operation_writing import POSITIONAL
from execution_dataflow.definition_files.option_values import decode_option
from execution_dataflow.definition_files.plain_values import decode
from execution_dataflow.definition_files.type_texts import type_of_text
from execution_dataflow.expansion.graph_items import mappable
from execution_dataflow.expansion.repeating import RepeatedOperation
from execution_dataflow.fallbacks import FallbackValue
from execution_dataflow.functions import OperationFunction, operation_of
from execution_dataflow.mapping import mapped
from execution_dataflow.operations import OPTIONS, Operation, check_options, label_of

__all__ = ["OperationReader", "members_of"]

_MADE_OF = ("operation", "outputs", "arguments", "options", "map", "repeat", "graph")
_MAP = (*_MADE_OF, "over", "stack", "max_concurrency", "on_error")
_LOOP = (*_MADE_OF, "until", "max_iterations", "on_limit")
_MARKS = {"$retry_policy": "retry_policy", "$rate_limit": "rate_limit"}


def members_of(
    located: Located, path: Path, known: Iterable[str], what: str, faults: Faults, required: Iterable[str] = ()
) -> dict[str, Located] | None:
    """Return the members of a mapping whose names are known, with faults for those that are not.

    Parameters
    ----------
    located : Located
        The mapping.
    path : tuple of (str or int)
        Where it is.
    known : iterable of str
        The names that it may have.
    what : str
        What it is, for messages.
    faults : Faults
        Where faults go.
    required : iterable of str
        The names that it has to have.

    Returns
    -------
    dict of str to Located, or None
        ``None`` if it is no mapping.
    """
    if not isinstance(located.value, dict):
        faults.add(f"{what} is a mapping", path, located, expected="a mapping")
        return None
    known = list(known)
    members = {}
    for name, member in located.value.items():
        if name in known:
            members[name] = member
        else:
            faults.unknown_name(f"part of {what}", name, known, (*path, name), member)
    for name in required:
        if name not in members:
            faults.add(f"{what} needs {name!r}", path, located, expected=f"a member {name!r}", found="none")
    return members


class OperationReader:
    """Makes operations.

    Parameters
    ----------
    allowed : Allowed
        What may be named.
    faults : Faults
        Where faults go.
    nested : callable
        Returns what stands for a graph, or ``None`` after a fault.
    new_graph : callable
        Makes an empty graph with a name.
    """

    def __init__(
        self,
        allowed: Allowed,
        faults: Faults,
        nested: Callable[[Located, Path], Operation | None],
        new_graph: Callable[[str], Any],
    ) -> None:
        self._allowed = allowed
        self._faults = faults
        self._nested = nested
        self._new_graph = new_graph

    def make(self, members: dict[str, Located], path: Path, at: Located) -> Operation | None:
        """Return the operation that some data describes, or ``None`` after a fault.

        Parameters
        ----------
        members : dict of str to Located
            ``operation`` with ``arguments`` or ``outputs``, or else ``map``; and ``options``.
        path : tuple of (str or int)
            Where the data is.
        at : Located
            The data as a whole.
        """
        if "map" in members:
            if "operation" in members:
                self._faults.add(
                    "an operation is either a map or not; what is mapped stands within 'map'",
                    (*path, "operation"),
                    members["operation"],
                    by_key=True,
                )
            made = self._map(members["map"], (*path, "map"))
        elif "repeat" in members:
            made = self._loop(members["repeat"], (*path, "repeat"))
        elif "graph" in members:
            made = self._nested(members["graph"], (*path, "graph"))
        elif "operation" in members:
            made = self._named(members, path)
        else:
            self._faults.add("an operation needs 'operation', which names its class or function", path, at)
            made = None
        options = members.get("options")
        if options is not None:
            self.give_options(made, options, (*path, "options"))
        return made

    def parameter(self, name: str, located: Located, path: Path) -> Parameter | None:
        """Return a parameter of a graph, or ``None`` after a fault."""
        before = len(self._faults)
        members = members_of(located, path, ("type", "default", "description"), "a parameter", self._faults)
        given: dict[str, Any] = {}
        for part, member in (members or {}).items():
            if part == "default":
                given[part] = decode(member, (*path, part), self._faults)
            elif not isinstance(member.value, str):
                self._faults.add(f"the {part} is a text", (*path, part), member, expected="a text")
            elif part == "type":
                given["data_type"] = self._type(member, (*path, part))
            else:
                given[part] = member.value
        if len(self._faults) > before:
            return None
        made: Parameter | None = self._tried(lambda: Parameter(name, **given), path, located)
        return made

    def _type(self, located: Located, path: Path) -> Any:
        try:
            return type_of_text(located.value, self._allowed)
        except RefusedNameError as error:
            self._refused(error, path, located)
            return Any

    def _refused(self, error: RefusedNameError, path: Path, located: Located) -> None:
        found = None if error.expected is None else repr(located.value)
        self._faults.add(str(error), path, located, expected=error.expected, found=found, nearest=error.nearest)

    def _tried(self, make: Any, path: Path, located: Located) -> Any:
        """Return what user code gives, or ``None`` with a fault for what it raises."""
        try:
            return make()
        except (Exception, SystemExit) as error:
            self._faults.add(f"{type(error).__name__}: {_text_of(error)}", path, located)
            return None

    def _named(self, members: dict[str, Located], path: Path) -> Operation | None:
        located = members["operation"]
        where = (*path, "operation")
        found = self._found(located, where)
        arguments = self._arguments(members.get("arguments"), (*path, "arguments"))
        outputs = self._outputs(members.get("outputs"), (*path, "outputs"))
        if found is None or arguments is None:
            return None
        if isinstance(found, type):
            if "outputs" in members:
                self._faults.add(
                    f"{found.__name__} is a class, and declares its outputs itself; names are for those of functions",
                    (*path, "outputs"),
                    members["outputs"],
                    by_key=True,
                )
                return None
            return self._instance(found, arguments, where, located)
        if "arguments" in members:
            self._faults.add(
                "a function has no constructor; its values stand in 'inputs' and 'constants'",
                (*path, "arguments"),
                members["arguments"],
                by_key=True,
            )
            return None

        def new() -> Operation:
            is_plain = outputs is None and isinstance(found, OperationFunction)
            definition = found if is_plain else operation_of(found, outputs)
            made: Operation = definition.new()
            return made

        made: Operation | None = self._tried(new, where, located)
        return made

    def _found(self, located: Located, path: Path) -> Any:
        if not isinstance(located.value, str):
            self._faults.add(
                "an operation is named by a text", path, located, expected="'module:Name', such as 'mypackage:Clean'"
            )
            return None
        try:
            return self._allowed.find(located.value)
        except RefusedNameError as error:
            self._refused(error, path, located)
            return None

    def _instance(self, kind: type[Operation], given: Any, path: Path, located: Located) -> Operation | None:
        args, kwargs = given
        made = self._tried(lambda: kind(*args, **kwargs), path, located)
        if made is None or isinstance(made, Operation):
            return made
        self._faults.add(f"{kind.__name__} made {type(made).__name__}, which is no operation", path, located)
        return None

    def _arguments(self, located: Located | None, path: Path) -> tuple[list[Any], dict[str, Any]] | None:
        if located is None:
            return [], {}
        before = len(self._faults)
        args: list[Any] = []
        kwargs: dict[str, Any] = {}
        if isinstance(located.value, list):
            args = [self._argument(item, (*path, index)) for index, item in enumerate(located.value)]
        elif isinstance(located.value, dict):
            kwargs = {
                name: self._argument(item, (*path, name)) for name, item in located.value.items() if name != POSITIONAL
            }
            first = located.value.get(POSITIONAL)
            if first is not None and not isinstance(first.value, list):
                self._faults.add("arguments by position are a list", path, first, expected="a list")
            elif first is not None:
                where = (*path, POSITIONAL)
                args = [self._argument(item, (*where, index)) for index, item in enumerate(first.value)]
        else:
            self._faults.add("arguments are a list or a mapping", path, located, expected="a list or a mapping")
        return None if len(self._faults) > before else (args, kwargs)

    def _argument(self, located: Located, path: Path) -> Any:
        if isinstance(located.value, dict) and len(located.value) == 1:
            ((mark, part),) = located.value.items()
            if mark in _MARKS:
                return decode_option(_MARKS[mark], part, (*path, mark), self._allowed, self._faults)
            if mark == "$type" and isinstance(part.value, str):
                return self._type(part, (*path, mark))
        return decode(located, path, self._faults, self._found)

    def _outputs(self, located: Located | None, path: Path) -> str | tuple[str, ...] | None:
        if located is None or isinstance(located.value, str):
            return None if located is None else located.value
        items = located.value if isinstance(located.value, list) else []
        if not items or not all(isinstance(item.value, str) for item in items):
            self._faults.add("the outputs of a function are named", path, located, expected="a text or a list of texts")
            return None
        return tuple(item.value for item in items)

    def _map(self, located: Located, path: Path) -> Operation | None:
        members = members_of(located, path, _MAP, "a map", self._faults, required=("over",))
        if members is None:
            return None
        before = len(self._faults)
        given = {
            name: decode(members[name], (*path, name), self._faults)
            for name in ("over", "stack", "max_concurrency", "on_error")
            if name in members
        }
        over = given.get("over")
        if "over" in given and not (
            isinstance(over, str) or (isinstance(over, list) and all(isinstance(name, str) for name in over))
        ):
            self._faults.add(
                "a map says which inputs it goes over", (*path, "over"), members["over"], expected="a list of inputs"
            )
        if "stack" in given and not isinstance(given["stack"], bool):
            self._faults.add("stack is true or false", (*path, "stack"), members["stack"], expected="true or false")
        item = self.make({name: member for name, member in members.items() if name in _MADE_OF}, path, located)
        if item is None or len(self._faults) > before:
            return None
        made: Operation | None = self._tried(lambda: mapped(mappable(item), **given), path, located)
        return made

    def _loop(self, located: Located, path: Path) -> Operation | None:
        required = ("until", "max_iterations")
        members = members_of(located, path, _LOOP, "a loop", self._faults, required=required)
        if members is None or not all(name in members for name in required):
            return None
        before = len(self._faults)
        given = {
            name: decode(members[name], (*path, name), self._faults)
            for name in ("max_iterations", "on_limit")
            if name in members
        }
        body = self.make({name: member for name, member in members.items() if name in _MADE_OF}, path, located)
        where = (*path, "until")
        parts = members_of(members["until"], where, _MADE_OF, "until", self._faults)
        until = None if parts is None else self.make(parts, where, members["until"])
        if body is None or until is None or len(self._faults) > before:
            return None
        made: Operation | None = self._tried(
            lambda: RepeatedOperation(body, until, **{"on_limit": "fail", **given}, new_graph=self._new_graph),
            path,
            located,
        )
        return made

    def give_options(self, operation: Operation | None, located: Located, path: Path) -> None:
        """Give an operation its options; without one, only look for faults."""
        for option, member in (members_of(located, path, OPTIONS, "the options", self._faults) or {}).items():
            where = (*path, option)
            before = len(self._faults)
            if option == "on_failure":
                value = self._on_failure(member, where)
            else:
                value = decode_option(option, member, where, self._allowed, self._faults)
            if len(self._faults) == before:
                self._give(operation, option, value, where, member)

    def _give(self, operation: Operation | None, option: str, value: Any, path: Path, located: Located) -> None:
        if value is None and getattr(Operation, option) is not None:
            self._faults.add(f"{option} cannot be left empty; leave out the line", path, located)
            return
        owner = "operation" if operation is None else label_of(operation)

        def give() -> None:
            check_options(owner, {option: value})
            if operation is not None:
                setattr(operation, option, value)

        self._tried(give, path, located)

    def _on_failure(self, located: Located, path: Path) -> Any:
        if located.value is None:
            return None
        members = members_of(
            located, path, ("value", "fallback_value", "function", *_MADE_OF[:4]), "on_failure", self._faults
        )
        if members is None:
            return None
        kinds = [name for name in ("value", "fallback_value", "function", "operation") if name in members]
        if len(kinds) != 1:
            self._faults.add(
                "what stands in for an operation is a value, a function or an operation",
                path,
                located,
                expected="one of 'value', 'function' and 'operation'",
                found=" and ".join(map(repr, kinds)) or "none",
            )
            return None
        (kind,) = kinds
        where = (*path, kind)
        if kind in ("value", "fallback_value"):
            value = decode(members[kind], where, self._faults)
            return FallbackValue(value) if kind == "fallback_value" or value is None else value
        if kind == "operation":
            return self.make(members, path, located)
        found = self._found(members[kind], where)
        if isinstance(found, type):
            self._faults.add("a class stands in as 'operation', with its arguments", where, members[kind])
        return found


def _text_of(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # an exception of a user's may not be able to say what it is
        return "(without a text)"
