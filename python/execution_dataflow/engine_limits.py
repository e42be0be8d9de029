"""What the runs of one engine share in limited amounts, and what each operation asks for of it."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeAlias
from weakref import WeakKeyDictionary

from execution_dataflow import _core
from execution_dataflow.limit_errors import ResourceError
from execution_dataflow.nearest import nearest_name
from execution_dataflow.node_specs import kind_of
from execution_dataflow.operation_settings import OperationSettings
from execution_dataflow.rate_limits import RateLimit

if TYPE_CHECKING:
    from execution_dataflow.plan import Plan

__all__ = ["EngineLimits", "TagLimit", "checked_resources", "checked_tags"]

TagLimit: TypeAlias = "int | RateLimit | tuple[int, RateLimit]"
"""How many operations with a tag may run at the same time, how often they may start, or both."""

_Demands: TypeAlias = "tuple[tuple[int, int], ...]"
_Key: TypeAlias = "tuple[_Demands, tuple[int, ...]]"

GivenLimits: TypeAlias = "tuple[_core.Limits, list[tuple[_core.NodeSpec, int]], int | None]"

# The core counts in whole numbers: resources in millionths.
_UNITS = 1_000_000
_NANOSECONDS = 1_000_000_000
_LARGEST = 2**40


class EngineLimits:
    """The limits of an engine.

    Parameters
    ----------
    resources : dict of str to float
        How much there is of each resource.
    tags : dict of str to (int or None, RateLimit or None)
        The limits of tags.
    memory : int or None
        What the values between operations may hold, in bytes.
    """

    def __init__(
        self,
        resources: dict[str, float],
        tags: dict[str, tuple[int | None, RateLimit | None]],
        memory: int | None,
    ) -> None:
        self.resources = resources
        self.tags = tags
        self.memory = memory
        self._lock = Lock()
        self._renew()

    def _renew(self) -> None:
        self.core = core = _core.Limits(self.memory)
        # For each number of the core: what it is, and how much there is of it.
        self._known: list[tuple[str, int]] = []
        self._resources = {name: self._add(name, _units(amount)) for name, amount in self.resources.items()}
        self._tags = {
            name: (
                None if count is None else self._add(f"the limit of tag {name!r}", count),
                None if rate is None else _add_rate(core, rate),
            )
            for name, (count, rate) in self.tags.items()
        }
        # By what the operations of one kind have in common: their class or their function.
        self._of_kind: WeakKeyDictionary[Any, dict[object, int]] = WeakKeyDictionary()
        self._groups: dict[_Key, int] = {}
        self._others = None if self.memory is None else core.add_group([], [])

    def _add(self, name: str, units: int) -> int:
        self._known.append((name, units))
        return self.core.add_resource(units)

    def after_fork_in_child(self) -> None:
        """Start afresh: what was held is held in the parent."""
        self._lock = Lock()
        self._renew()

    def of_plan(self, plan: Plan, held: Mapping[int, int]) -> GivenLimits | None:
        """Return what a run of a plan has to ask for, or ``None`` where nothing is limited.

        Parameters
        ----------
        plan : Plan
            What is to run.
        held : mapping of int to int
            What the operations hold that wait for the run, as `held_by_callers` says.

        Returns
        -------
        tuple or None
            The limits in the form that the native run takes.

        Raises
        ------
        ResourceError
            An operation asks for what the engine does not have.
        """
        if not plan.limited and self._others is None:
            return None
        groups = []
        with self._lock:
            for spec, kind in plan.limited:
                key = self._key(spec, kind)
                if key is None:
                    continue
                if held:
                    self._check_beside(held, spec, key[0])
                groups.append((spec, self._group(key)))
        if not groups and self._others is None:
            return None
        return self.core, groups, self._others

    def held_by_callers(self) -> dict[int, int]:
        """Return what is held by the operation that this is called in, and by those that wait for its run."""
        frame = _core.current_frame()
        if frame is None or frame.run.limits is not self:
            return {}
        held = dict(frame.run.held)
        with self._lock:
            key = self._key(frame.spec, kind_of(frame.operation))
        for number, units in key[0] if key else ():
            held[number] = held.get(number, 0) + units
        return held

    def _check_beside(self, held: Mapping[int, int], spec: _core.NodeSpec, demands: _Demands) -> None:
        for number, units in demands:
            name, there = self._known[number]
            left = there - held.get(number, 0)
            if units <= left:
                continue
            scale = _UNITS if name in self.resources else 1
            raise ResourceError(
                f"{spec.label} needs {units / scale:g} of {name}, and the operation that started this run holds "
                f"{held[number] / scale:g} of {there / scale:g} while it waits for it: both would wait for ever. Run "
                "the graph from an operation that holds less, or on an engine of its own",
                operation=spec.label,
                resource=name,
                requested=units / scale,
                available=left / scale,
            )

    def used(self) -> dict[str, float]:
        """Return how much of each resource is in use at this moment."""
        used = self.core.used()
        return {name: used[number] / _UNITS for name, number in self._resources.items()}

    def _key(self, spec: _core.NodeSpec, kind: Any) -> _Key | None:
        settings: OperationSettings = spec.settings
        demands: dict[int, int] = {}
        buckets: list[int] = []
        for name, amount in settings.resources:
            demands[self._resource(spec, name, amount)] = _units(amount)
        for tag in settings.tags:
            count, rate = self._tags.get(tag, (None, None))
            if count is not None:
                demands[count] = 1
            if rate is not None:
                buckets.append(rate)
        if settings.max_concurrency is not None:
            demands[self._limit_of_kind(kind, settings.max_concurrency)] = 1
        if settings.rate_limit is not None:
            buckets.append(self._limit_of_kind(kind, settings.rate_limit))
        if not demands and not buckets:
            return None
        return tuple(sorted(demands.items())), tuple(sorted(buckets))

    def _group(self, key: _Key) -> int:
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = self.core.add_group(list(key[0]), list(key[1]))
        return group

    def _resource(self, spec: _core.NodeSpec, name: str, amount: float) -> int:
        number = self._resources.get(name)
        if number is None:
            nearest = nearest_name(name, self.resources)
            has = f"did you mean {nearest!r}?" if nearest else f"the engine has {', '.join(self.resources) or 'none'}."
            raise ResourceError(
                f"{spec.label} needs {amount:g} of {name!r}, and the engine has no such resource; {has} "
                f"Declare it with ExecutionEngine(resources={{{name!r}: ...}})",
                operation=spec.label,
                resource=name,
                requested=amount,
                available=0.0,
            )
        available = self.resources[name]
        if amount > available:
            needs, has = f"{amount:g}", f"{available:g}"
            if needs == has:
                needs, has = str(amount), str(available)
            raise ResourceError(
                f"{spec.label} needs {needs} of {name!r}, and the engine has {has}: it would wait for ever; "
                f"ask for less, or declare more with ExecutionEngine(resources={{{name!r}: ...}})",
                operation=spec.label,
                resource=name,
                requested=amount,
                available=available,
            )
        return number

    def _limit_of_kind(self, kind: Any, limit: int | RateLimit) -> int:
        known = self._of_kind.setdefault(kind, {})
        number = known.get(limit)
        if number is None:
            if isinstance(limit, RateLimit):
                number = _add_rate(self.core, limit)
            else:
                number = self._add(f"max_concurrency={limit}", limit)
            known[limit] = number
        return number


def _units(amount: float) -> int:
    return round(amount * _UNITS)


def _add_rate(core: _core.Limits, rate: RateLimit) -> int:
    return core.add_bucket(max(1, round(rate.interval_seconds * _NANOSECONDS)), min(rate.burst, 2**32 - 1))


def checked_resources(value: object) -> dict[str, float]:
    """Return the resources of an engine, or raise an error that says what they may be."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise TypeError(f"resources is a mapping such as {{'gpu': 1}}, not {type(value).__name__}")
    for name, amount in value.items():
        if not isinstance(name, str) or not name:
            raise TypeError(f"resources have names, not {name!r}")
        if isinstance(amount, bool) or not isinstance(amount, int | float):
            raise TypeError(f"resources={{{name!r}: {amount!r}}}: say how much there is of it as a number")
        if not isfinite(amount) or not 0 <= amount <= _LARGEST:
            raise ValueError(f"resources={{{name!r}: {amount!r}}} is not possible: an amount is from 0 to {_LARGEST}")
    return {name: float(amount) for name, amount in value.items()}


def checked_tags(value: object) -> dict[str, tuple[int | None, RateLimit | None]]:
    """Return the limits of an engine's tags, or raise an error that says what they may be."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise TypeError(f"tag_limits is a mapping such as {{'api': 4}}, not {type(value).__name__}")
    return {_checked_tag(tag): _checked_tag_limit(tag, limit) for tag, limit in value.items()}


def _checked_tag(tag: object) -> str:
    if not isinstance(tag, str) or not tag:
        raise TypeError(f"tag_limits are for tags, which are strings, not {tag!r}")
    return tag


def _checked_tag_limit(tag: str, limit: object) -> tuple[int | None, RateLimit | None]:
    parts = limit if isinstance(limit, tuple) else (limit,)
    counts = [part for part in parts if isinstance(part, int) and not isinstance(part, bool)]
    rates = [part for part in parts if isinstance(part, RateLimit)]
    if not parts or len(counts) + len(rates) != len(parts) or len(counts) > 1 or len(rates) > 1:
        raise TypeError(f"tag_limits={{{tag!r}: {limit!r}}}: a limit is an int, a RateLimit, or a tuple of both")
    if counts and counts[0] < 1:
        raise ValueError(f"tag_limits={{{tag!r}: {limit!r}}} is not possible: at least 1 operation must be able to run")
    return (counts[0] if counts else None), (rates[0] if rates else None)
