"""The way from the sources of a graph to its ends: the fingerprint of each operation from those before it.

A fingerprint is three digests: of the code, of the configuration, and of the inputs. The last one is made of the whole
fingerprints of what feeds the operation, not of values, and so is known before anything runs.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import NamedTuple, Protocol

from execution_dataflow._core import Plan as NativePlan
from execution_dataflow._core import Survey
from execution_dataflow.fingerprint_errors import UnfingerprintableError
from execution_dataflow.fingerprinting.walks import DIGEST_BYTES, joined
from execution_dataflow.operations import Operation

__all__ = ["Fingerprinted", "Lineages", "OperationDigest", "lineages_of"]

# In the place of ports, for what only waits.
_ORDER = 0xFFFF_FFFF


class OperationDigest(NamedTuple):
    """What an operation is by itself.

    Parameters
    ----------
    code, configuration : bytes
        A digest of each.
    """

    code: bytes
    configuration: bytes


class Fingerprinted(Protocol):
    """What is read of a plan."""

    @property
    def core(self) -> NativePlan:
        """The native plan."""

    @property
    def operations(self) -> tuple[Operation, ...]:
        """The operations, by node."""


class Lineages(NamedTuple):
    """What came of a walk.

    Parameters
    ----------
    fingerprints : list of bytes or None
        For each node, 48 bytes.
    causes : dict of int to int
        For each node without one, the first node on the way to it that has none by itself.
    reasons : dict of int to str
        For each of these, why.
    """

    fingerprints: list[bytes | None]
    causes: dict[int, int]
    reasons: dict[int, str]


class _Pairs(dict[tuple[int, int], bytes]):
    """An output and the input that it feeds, as bytes."""

    def __missing__(self, pair: tuple[int, int]) -> bytes:
        made = self[pair] = struct.pack("<II", *pair)
        return made


def lineages_of(
    plan: Fingerprinted,
    digest_of: Callable[[Operation], OperationDigest],
    constant: Callable[[object], bytes],
    given: Callable[[int], bytes],
    beginning: bytes,
) -> Lineages:
    """Return the fingerprints of the operations of a plan.

    Parameters
    ----------
    plan : Plan
        The plan.
    digest_of : callable
        Returns what an operation is by itself.
    constant : callable
        Returns the digest of a constant.
    given : callable
        Returns the digest of a value that the run is given, by its number.
    beginning : bytes
        What everything that waits for nothing comes from: empty for a run, a fingerprint for an expansion.

    Returns
    -------
    Lineages
        All of them; `UnfingerprintableError` raised by one of the callables becomes a reason.
    """
    survey = Survey(plan.core)
    bindings, operations = survey.bindings, plan.operations
    waits = plan.core.predecessors if survey.edge_counts()[1] else None
    found: list[bytes | None] = [None] * len(operations)
    causes: dict[int, int] = {}
    reasons: dict[int, str] = {}
    pairs = _Pairs()
    nothing = blake2b(beginning, digest_size=DIGEST_BYTES).digest()
    for node in plan.core.order():
        parts: list[bytes] = []
        constants: list[tuple[int, int, int, object]] | None = None
        sources: list[int] = []
        for port, bound in enumerate(bindings(node)):
            for position, (source, output, value) in enumerate(bound):
                if source >= 0:
                    before = found[source]
                    sources.append(source)
                    if before is not None:
                        parts += before, pairs[output, port]
                else:
                    constants = constants or []
                    constants.append((port, position, output if source == -2 else -1, value))
        if waits is not None:
            for source in set(waits(node)).difference(sources):
                before = found[source]
                sources.append(source)
                if before is not None:
                    parts += before, pairs[_ORDER, _ORDER]
        if causes:
            cause = min((causes[source] for source in sources if source in causes), default=-1)
            if cause >= 0:
                causes[node] = cause
                continue
        try:
            code, configuration = digest_of(operations[node])
            if constants is not None:
                configuration = _with_constants(configuration, operations[node], constants, constant, given)
        except UnfingerprintableError as error:
            causes[node], reasons[node] = node, str(error)
            continue
        inputs = blake2b(b"".join(parts), digest_size=DIGEST_BYTES).digest() if parts else nothing
        found[node] = code + configuration + inputs
    return Lineages(found, causes, reasons)


def _with_constants(
    configuration: bytes,
    operation: Operation,
    constants: Sequence[tuple[int, int, int, object]],
    constant: Callable[[object], bytes],
    given: Callable[[int], bytes],
) -> bytes:
    parts = [configuration]
    for port, position, number, value in constants:
        try:
            digest = given(number) if number >= 0 else constant(value)
        except UnfingerprintableError as error:
            name = operation.ports.inputs[port][0]
            what = "the value given for" if number >= 0 else "the constant of"
            place = f"{error.place} of {what} its input {name!r}" if error.place else f"{what} its input {name!r}"
            raise UnfingerprintableError(place, error.reason) from error
        parts += struct.pack("<II", port, position), digest
    return joined(*parts)
