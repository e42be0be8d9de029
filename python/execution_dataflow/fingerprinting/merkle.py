"""The way from the sources of a graph to its ends: the fingerprint of each operation from those before it.

A fingerprint is three digests: of the code, of the configuration, and of the inputs. The last one is made of the whole
fingerprints of what feeds the operation, not of values, and so is known before anything runs.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import NamedTuple, Protocol

from execution_dataflow._core import Plan as NativePlan
from execution_dataflow._core import Survey
from execution_dataflow.fingerprint_errors import UnfingerprintableError
from execution_dataflow.fingerprinting.walks import DIGEST_BYTES, joined
from execution_dataflow.operations import Operation

__all__ = ["FINGERPRINT_BYTES", "OWN_BYTES", "Fingerprinted", "Lineages", "lineages_of"]

OWN_BYTES = 2 * DIGEST_BYTES
"""The length of what an operation is by itself: a digest of its code and one of its configuration."""

FINGERPRINT_BYTES = OWN_BYTES + DIGEST_BYTES
"""The length of a fingerprint: what an operation is by itself, and a digest of its inputs."""

_UNKNOWN = bytes(OWN_BYTES)


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


def lineages_of(
    plan: Fingerprinted,
    digest_of: Callable[[Operation], bytes],
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
        All of them; an `UnfingerprintableError` that one of the callables raises becomes a reason.
    """
    survey, operations = Survey(plan.core), plan.operations
    own: list[bytes] = []
    reasons: dict[int, str] = {}
    for operation in operations:
        try:
            own.append(digest_of(operation))
        except UnfingerprintableError as error:
            reasons[len(own)] = str(error)
            own.append(_UNKNOWN)
    _add_constants(survey, operations, own, reasons, constant, given)
    whole, causes = survey.merkle(b"".join(own), list(reasons), beginning)
    places = range(0, len(whole), FINGERPRINT_BYTES)
    fingerprints: list[bytes | None] = [whole[at : at + FINGERPRINT_BYTES] for at in places]
    for node, _ in causes:
        fingerprints[node] = None
    return Lineages(fingerprints, dict(causes), reasons)


def _add_constants(
    survey: Survey,
    operations: tuple[Operation, ...],
    own: list[bytes],
    reasons: dict[int, str],
    constant: Callable[[object], bytes],
    given: Callable[[int], bytes],
) -> None:
    """Add what inputs are given to the configuration of their operations."""
    parts: dict[int, list[bytes]] = {}
    for node, port, position, number, value in survey.constants():
        if node in reasons:
            continue
        try:
            digest = given(number) if number >= 0 else constant(value)
        except UnfingerprintableError as error:
            name = operations[node].ports.inputs[port][0]
            what = f"{'the value given for' if number >= 0 else 'the constant of'} its input {name!r}"
            reasons[node] = f"{error.place} of {what}: {error.reason}" if error.place else f"{what}: {error.reason}"
            continue
        parts.setdefault(node, []).append(struct.pack("<II", port, position) + digest)
    for node, given_parts in parts.items():
        code, configuration = own[node][:DIGEST_BYTES], own[node][DIGEST_BYTES:]
        own[node] = code + joined(configuration, *given_parts)
