"""What an operation is by itself: its code, and how it is configured."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from threading import RLock
from types import CodeType, FunctionType, MethodType
from typing import Any

from execution_dataflow._core import MISSING
from execution_dataflow.definition_facts import module_of
from execution_dataflow.expansion.graph_items import GraphItem
from execution_dataflow.expansion.repeating import Carried, RepeatedOperation
from execution_dataflow.fallbacks import FallbackValue
from execution_dataflow.fingerprint_errors import UnfingerprintableError
from execution_dataflow.fingerprinting.code_objects import context_attributes
from execution_dataflow.fingerprinting.definitions import (
    add_function_code,
    add_function_values,
    add_named,
)
from execution_dataflow.fingerprinting.merkle import OWN_BYTES, lineages_of
from execution_dataflow.fingerprinting.packages import is_followed
from execution_dataflow.fingerprinting.plain_instances import PlainInstances
from execution_dataflow.fingerprinting.values import new_walk
from execution_dataflow.fingerprinting.versioned_code import add_versioned
from execution_dataflow.fingerprinting.walks import DIGEST_BYTES, Findings, Walk, joined
from execution_dataflow.functions import FunctionOperation, OperationFunction
from execution_dataflow.mapping import MappedOperation, OneShot
from execution_dataflow.operations import OPTIONS, Operation
from execution_dataflow.signatures import PortSignature

__all__ = ["OperationDigests"]

# What changes results: whether an input may be left out (1) and takes many sources (2).
_THAT_CHANGE_RESULTS = 0b11
_MACHINERY = frozenset({*OPTIONS, "_ports", "_settings", "_arguments"})
_OF_FUNCTIONS = _MACHINERY | {"definition"}
_RANDOM = frozenset({"rng", "random", "seed"})
_MOST_KNOWN = 65_536


class OperationDigests:
    """Finds what operations are by themselves, each kind once.

    Parameters
    ----------
    parameters : mapping of str to object
        The parameters of the context. They count for the operations that may read them.
    seed : int, optional
        The seed of the run, for those that may draw random numbers.
    """

    def __init__(self, parameters: Mapping[str, Any], seed: int | None) -> None:
        self.findings = Findings()
        self._parameters = dict(parameters)
        self._seed = seed
        self._context: dict[str, bytes] = {}
        # By identity, each with what must stay alive for that.
        self._plain: dict[int, tuple[Any, bytes]] = {}
        self._known: dict[tuple[int, ...], tuple[Any, bytes]] = {}
        self._codes: dict[tuple[int, str | None], tuple[Any, bytes]] = {}
        self._ports: dict[int, tuple[PortSignature, bytes]] = {}
        self._constants: dict[int, tuple[Any, bytes]] = {}
        self._reads: dict[int, tuple[CodeType, frozenset[str] | None]] = {}
        self._slots: dict[type, tuple[str, ...]] = {}
        self._plain_instances: dict[tuple[Any, ...], PlainInstances | None] = {}
        self._under_way: set[int] = set()
        # Expansions ask on the threads of workers.
        self.lock = RLock()

    def of(self, operation: Operation) -> bytes:
        """Return what an operation is by itself.

        Parameters
        ----------
        operation : Operation
            The operation.

        Returns
        -------
        bytes
            A digest of its code and one of its configuration: 32 bytes.

        Raises
        ------
        UnfingerprintableError
            It is made of something of which nobody can tell whether it is the same.
        """
        if type(operation) is FunctionOperation:
            fields = operation.__dict__
            if len(fields) == 2:
                # As nearly all are: a function, and the ports that it gives all of its operations.
                definition = fields["definition"]
                known = self._plain.get(id(definition))
                if known is None:
                    known = self._plain[id(definition)] = definition, self._find(operation)
                return known[1]
            if fields.keys() <= _OF_FUNCTIONS:
                kept = fields["definition"], fields["_ports"], fields.get("_settings")
                key = tuple(map(id, kept))
                known = self._known.get(key)
                if known is None:
                    known = self._known[key] = kept, self._find(operation)
                return known[1]
        else:
            found = self._of_plain_instance(operation)
            if found is not None:
                return found
        return self._find(operation)

    def value(self, value: object) -> bytes:
        """Return the digest of a constant, found once for each object."""
        known = self._constants.get(id(value))
        if known is None:
            known = self._constants[id(value)] = value, self._digest(lambda walk: walk.value(value))
        return known[1]

    def let_go(self) -> None:
        """Forget values, which may be large, and the rest where it is more than one program can have."""
        self._constants.clear()
        self.findings.large.clear()
        by_number: tuple[dict[Any, Any], ...] = (self._plain, self._known, self._codes, self._ports, self._reads)
        for known in (*by_number, self._slots, self._plain_instances):
            if len(known) > _MOST_KNOWN:
                known.clear()

    def of_plan(self, plan: Any) -> bytes:
        """Return what the operations of a plan are together, with how they are connected."""
        names = [item.name for item in plan.given]
        found = lineages_of(plan, self.of, self.value, lambda number: joined(b"given", names[number].encode()), b"")
        for node, reason in found.reasons.items():
            raise UnfingerprintableError(f"the operation {plan.label(node)!r} inside of it", reason)
        ends = [repr((name, place)).encode() for name, place in plan.outputs.items()]
        defaults = [self.value(item.default) for item in plan.given if item.default is not MISSING]
        whole = [fingerprint for fingerprint in found.fingerprints if fingerprint is not None]
        code = joined(*(fingerprint[:DIGEST_BYTES] for fingerprint in whole))
        return code + joined(*whole, b"ends", *ends, b"defaults", *defaults)

    # ------------------------------------------------------------ instances of a class

    def _of_plain_instance(self, operation: Operation) -> bytes | None:
        """Return what an operation is by itself, if it is one of many that differ in plain attributes alone."""
        fields = getattr(operation, "__dict__", None)
        if fields is None or "_settings" in fields:
            return None
        key = (type(operation), id(operation._ports), *fields)
        with self.lock:
            if key not in self._plain_instances:
                self._plain_instances[key] = self._plain_instances_of(operation)
            plain = self._plain_instances[key]
            return None if plain is None else plain.digest(fields)

    def _plain_instances_of(self, operation: Operation) -> PlainInstances | None:
        kind, settings, ports = type(operation), operation._settings, operation._ports
        if isinstance(operation, MappedOperation | RepeatedOperation | GraphItem | Carried) or ports is None:
            return None
        if hasattr(kind, "__fingerprint__") or settings.on_failure is not None or any(_slots_of(kind)):
            return None
        walk = new_walk(self.findings, self._rule)
        parts: list[list[Any]] = []

        def collect() -> list[Any]:
            parts.append([])
            walk.collect_into(parts[-1])
            return parts[-1]

        names = sorted(name for name in operation.__dict__ if name not in _MACHINERY)
        try:
            begin = collect()
            self._add_kind(walk, operation)
            self._add_count(walk, len(names))
            attributes = []
            for name in names:
                attributes.append((name, collect()))
                walk.text("attribute", name)
            end = collect()
            self._add_reads(walk, operation)
            return PlainInstances(self._code_of(operation), (kind, ports), walk, begin, attributes, end)
        except UnfingerprintableError:
            # Who walks over the operation says why.
            return None

    # ------------------------------------------------------------ one operation

    def _find(self, operation: Operation) -> bytes:
        if id(operation) in self._under_way:
            raise UnfingerprintableError("", f"{operation!r} is part of its own configuration")
        self._under_way.add(id(operation))
        try:
            code, configuration = self._code_of(operation), self._configuration_of(operation)
            if isinstance(operation, MappedOperation):
                return _around(code, configuration, self.of(operation.item))
            if isinstance(operation, RepeatedOperation | GraphItem):
                plan = operation.plan if isinstance(operation, RepeatedOperation) else _plan_of(operation)
                return _around(code, configuration, self.of_plan(plan))
            return code + configuration
        finally:
            self._under_way.discard(id(operation))

    def _code_of(self, operation: Operation) -> bytes:
        if isinstance(operation, MappedOperation | RepeatedOperation | GraphItem | Carried):
            return joined(type(operation).__name__.encode())
        made: Any = operation.function if isinstance(operation, FunctionOperation) else type(operation)
        version = operation._settings.version
        known = self._codes.get((id(made), version))
        if known is None:
            digest = self._digest(
                lambda walk: _add_code(walk, made) if version is None else add_versioned(walk, made, version)
            )
            known = self._codes[id(made), version] = made, digest
        return known[1]

    def _configuration_of(self, operation: Operation) -> bytes:
        settings = operation._settings

        def add(walk: Walk) -> None:
            self._add_kind(walk, operation)
            if isinstance(operation, MappedOperation):
                walk.value((operation.over, operation.stack, operation.on_error))
            elif isinstance(operation, RepeatedOperation):
                walk.value((operation.max_iterations, operation.on_limit, operation.fed, operation.given))
                walk.value(operation.results)
            elif not isinstance(operation, GraphItem | Carried):
                self._add_own(walk, operation)
            if settings.on_failure is not None:
                walk.value(settings.on_failure, "on_failure")

        return self._digest(add)

    def _add_own(self, walk: Walk, operation: Operation) -> None:
        hook = getattr(type(operation), "__fingerprint__", None)
        if hook is not None:
            walk.value(hook(operation), f"__fingerprint__() of {type(operation).__name__}")
        else:
            fields = self._attributes(operation)
            self._add_count(walk, len(fields))
            for name, value in sorted(fields.items()):
                walk.text("attribute", name)
                walk.value(value, f"attribute {name!r} of {type(operation).__name__}")
        if isinstance(operation, FunctionOperation):
            walk.add("spread" if operation.definition.spread else "single")
            _add_values(walk, operation.function)
        self._add_reads(walk, operation)

    def _add_kind(self, walk: Walk, operation: Operation) -> None:
        walk.add("ports", self._ports_of(operation.ports))
        if operation._settings.dynamic:
            walk.add("dynamic")

    @staticmethod
    def _add_count(walk: Walk, count: int) -> None:
        walk.add("attributes", count.to_bytes(4, "little"))

    def _add_reads(self, walk: Walk, operation: Operation) -> None:
        read = self._read_of_context(operation)
        if read is None or "parameters" in read:
            walk.add("parameters", self._of_context("parameters"))
        if read is None or _RANDOM & read:
            walk.add("seed", self._of_context("seed"))

    def draws_random_numbers(self, operation: Operation) -> bool:
        """Return whether an operation may draw random numbers that follow from the seed of the run."""
        read = self._read_of_context(operation)
        return read is None or bool(_RANDOM & read)

    def _attributes(self, operation: Operation) -> dict[str, Any]:
        fields = getattr(operation, "__dict__", {})
        machinery = _OF_FUNCTIONS if isinstance(operation, FunctionOperation) else _MACHINERY
        found = {name: value for name, value in fields.items() if name not in machinery}
        kind = type(operation)
        slots = self._slots.get(kind)
        if slots is None:
            slots = self._slots[kind] = tuple(_slots_of(kind))
        found |= {name: getattr(operation, name) for name in slots if hasattr(operation, name)}
        return found

    def _read_of_context(self, operation: Operation) -> frozenset[str] | None:
        """What an operation reads of the context; ``None`` if nobody knows."""
        found = _context_argument(operation)
        if found is None or isinstance(found, frozenset):
            return found
        code, argument = found
        known = self._reads.get(id(code))
        if known is None:
            known = self._reads[id(code)] = code, context_attributes(code, argument)
        return known[1]

    def _of_context(self, what: str) -> bytes:
        known = self._context.get(what)
        if known is None:
            value: Any = self._parameters if what == "parameters" else self._seed
            # In any order: who reads them asks by name.
            content = dict(sorted(value.items())) if isinstance(value, dict) else value
            known = self._context[what] = self._digest(lambda walk: walk.value(content, f"the {what} of the context"))
        return known

    def _ports_of(self, ports: PortSignature) -> bytes:
        known = self._ports.get(id(ports))
        if known is None:
            known = self._ports[id(ports)] = ports, self._digest(lambda walk: _add_ports(walk, ports))
        return known[1]

    def _digest(self, add: Callable[[Walk], None]) -> bytes:
        walk = new_walk(self.findings, self._rule)
        try:
            add(walk)
            return walk.digest()
        except UnfingerprintableError:
            raise
        except RecursionError:
            raise UnfingerprintableError("", "it lies too deep within itself, more than Python can follow") from None
        except Exception as error:
            raise walk.refuse(f"looking at it raised {type(error).__name__}: {error}") from error

    def _rule(self, walk: Walk, value: Any) -> bool:
        """Add what is made of operations; tells whether it was that."""
        if isinstance(value, OperationFunction):
            version = value._options.get("version")
            walk.add("function")
            if version is None:
                walk.value(value.function)
            else:
                add_versioned(walk, value, str(version))
            return True
        if isinstance(value, Operation):
            digest = self.of(value)
        elif isinstance(value, OneShot):
            raise walk.refuse("it is an iterator, which one run uses up; give a list")
        elif isinstance(value, FallbackValue):
            walk.add("fallback")
            walk.value(value.value)
            return True
        elif hasattr(type(value), "add_operation") and hasattr(type(value), "compile") and hasattr(value, "_builder"):
            digest = self.of_plan(value.compile())
        else:
            return False
        walk.add("operation", digest)
        return True


def _around(code: bytes, configuration: bytes, inside: bytes) -> bytes:
    """What an operation is that runs others."""
    assert len(inside) == OWN_BYTES
    return joined(code, inside[:DIGEST_BYTES]) + joined(configuration, inside[DIGEST_BYTES:])


def _plan_of(operation: GraphItem) -> Any:
    graph: Any = operation.graph
    return graph.compile()


def _slots_of(cls: type) -> Iterator[str]:
    for base in cls.__mro__:
        slots = base.__dict__.get("__slots__", ())
        for slot in (slots,) if isinstance(slots, str) else slots:
            is_private = slot.startswith("__") and not slot.endswith("__")
            name = f"_{base.__name__.lstrip('_')}{slot}" if is_private else slot
            if name not in ("__dict__", "__weakref__") and name not in _MACHINERY:
                yield name


def _add_ports(walk: Walk, ports: PortSignature) -> None:
    for (name, port), default in zip(ports.inputs, ports.input_defaults, strict=True):
        walk.text("input", name, str(port.flags & _THAT_CHANGE_RESULTS))
        if default is not MISSING:
            walk.value(default, f"the default of input {name!r}")
    for name, output in ports.outputs:
        walk.text("output", name, str(output.flags & 1))


# ---------------------------------------------------------------- functions of operations


def _add_code(walk: Walk, made: Any) -> None:
    walk.user = module_of(made)
    if isinstance(made, partial):
        _add_code(walk, made.func)
    elif isinstance(made, MethodType):
        _add_code(walk, made.__func__)
    elif isinstance(made, OperationFunction):
        _add_code(walk, made.function)
    elif isinstance(made, FunctionType):
        if is_followed(module_of(made), module_of(made)):
            add_function_code(walk, made)
        else:
            add_named(walk, made)
    elif isinstance(made, type) or not callable(made) or _is_native(made):
        walk.value(made)
    else:
        walk.value(type(made))


def _add_values(walk: Walk, made: Any) -> None:
    if isinstance(made, partial):
        walk.value(made.args, "the arguments of functools.partial")
        walk.value(made.keywords, "the keywords of functools.partial")
        _add_values(walk, made.func)
    elif isinstance(made, MethodType):
        walk.value(made.__self__, f"what {made.__name__} is bound to")
        _add_values(walk, made.__func__)
    elif isinstance(made, FunctionType):
        if is_followed(module_of(made), module_of(made)):
            add_function_values(walk, made)
    elif not isinstance(made, type) and not _is_native(made):
        walk.value(made)


def _is_native(made: Any) -> bool:
    """Whether a callable counts by its name: a function of an extension module."""
    return not hasattr(type(made).__call__, "__code__")


def _context_argument(operation: Operation) -> frozenset[str] | tuple[CodeType, str] | None:
    """Return the code that gets the context, and what it calls it; nothing for one that has none; ``None``: unknown."""
    if not isinstance(operation, FunctionOperation):
        execute: Any = getattr(operation.execute, "__func__", None)
        if type(operation).__module__.startswith("execution_dataflow.expansion."):
            return frozenset()
        if not isinstance(execute, FunctionType) or execute.__code__.co_argcount < 2:
            return None
        return execute.__code__, execute.__code__.co_varnames[1]
    pattern = operation.definition.pattern
    if -1 not in pattern.arguments:
        return frozenset()
    function = operation.function
    if not isinstance(function, FunctionType) or hasattr(function, "__wrapped__"):
        return None
    code, place = function.__code__, pattern.arguments.index(-1)
    by_position = len(pattern.arguments) - len(pattern.keyword_names)
    name = code.co_varnames[place] if place < by_position else pattern.keyword_names[place - by_position]
    return code, name
