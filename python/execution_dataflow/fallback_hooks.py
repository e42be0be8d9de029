"""What a native run asks Python for when an operation has failed for which something else stands in."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import Any

from execution_dataflow.check_errors import CheckFailed
from execution_dataflow.error_record import ErrorRecord, exception_text
from execution_dataflow.errors import ContractError, GraphError
from execution_dataflow.expansion_errors import ExpansionError
from execution_dataflow.fallbacks import Fallback
from execution_dataflow.plan import Plan
from execution_dataflow.run_record import RunRecord

__all__ = ["FallbackHooks"]

# Faults of the program, which a value in their place would only hide (rule R2).
_NEVER = (ContractError, GraphError)


@dataclass(slots=True)
class _StandIn:
    """The operation that stands in for another one in this run."""

    fallback: Fallback
    error: BaseException
    # The last attempt of what it stands in for.
    after: int


class FallbackHooks:
    """The part of a run's hooks that is about ``on_failure=``."""

    __slots__ = ()

    plan: Plan
    record: RunRecord
    _waiting: dict[int, BaseException]
    _standing_in: dict[int, _StandIn]

    def retry_delay(self, node: int, attempt: int, error: BaseException) -> float | None:
        """Return the seconds until the next attempt, or ``None`` when there is to be none."""
        standing_in = self._standing_in.get(node)
        if standing_in is None:
            policy = self._spec(node).retry_policy
        else:
            assert standing_in.fallback.spec is not None
            policy, attempt = standing_in.fallback.spec.retry_policy, attempt - standing_in.after
        delay: float | None = None if policy is None else policy.next_delay(attempt, error, random.random)
        return delay

    def fall_back(
        self, node: int, attempt: int, error: BaseException, may_start: bool
    ) -> tuple[ErrorRecord, tuple[Any, ...] | None] | None:
        """Return what stands in for an operation that has failed.

        Parameters
        ----------
        node : int
            The index of the operation.
        attempt : int
            The attempt that failed last.
        error : BaseException
            What it raised.
        may_start : bool
            Whether another operation may start: the run has not stopped.

        Returns
        -------
        tuple of (ErrorRecord, tuple or None) or None
            The failure for the event, and the values of the outputs, ``None`` for an operation that runs next.
            ``None`` if the operation stays failed.
        """
        standing_in = self._standing_in.get(node)
        if standing_in is not None and standing_in.error is error:
            return self.record.fallbacks[node], None  # an interrupt made the core ask again
        spec: Any = self._spec(node) if standing_in is None else standing_in.fallback.spec
        fallback: Fallback | None = spec.fallback
        reason = error.exception if isinstance(error, ExpansionError) else error
        is_fault = isinstance(reason, _NEVER) and not isinstance(reason, CheckFailed)  # which is one of the data
        if fallback is None or is_fault or (fallback.operation is not None and not may_start):
            return None
        if not may_start and self.retry_delay(node, attempt, error) is not None:
            # There would have been another attempt, which might have come to something else (rule R3).
            return None
        first = self.record.fallbacks.get(node)
        told = self.record.error_record(node, attempt, max(attempt, spec.max_attempts), error, fallback.name)
        self.record.fallbacks[node] = told if first is None else replace(first, fallback=fallback.name)
        if fallback.operation is None:
            return told, fallback.new_values()
        self.record.supersede(node, error)
        self._standing_in[node] = _StandIn(fallback, error, attempt)
        # For a run that stops before it has started.
        self._waiting[node] = error
        return told, None

    def take_over_stand_ins(self) -> None:
        """Know what stood in for operations that are restored with their failures, for what undoes them."""
        for node, told in self.record.fallbacks.items():
            fallback: Fallback | None = self._spec(node).fallback
            while fallback is not None and fallback.operation is not None:
                assert fallback.spec is not None
                if fallback.name == told.fallback:
                    self._standing_in[node] = _StandIn(fallback, told.exception, told.attempt)
                    break
                fallback = fallback.spec.fallback

    @property
    def stand_ins(self) -> dict[int, _StandIn]:
        """The operations that stood in for failed ones, by node."""
        return self._standing_in

    def _what_stands_in(self, node: int) -> tuple[Any, ...] | None:
        """Return what the native run calls instead: spec, operation, where its inputs come from, and the error."""
        standing_in = self._standing_in.get(node)
        if standing_in is None:
            return None
        fallback = standing_in.fallback
        return fallback.spec, fallback.operation, fallback.inputs, standing_in.error

    def _note_failed_fallback(self, node: int, error: BaseException) -> None:
        """The operation that stood in has failed too: the first failure is not to be forgotten."""
        standing_in = self._standing_in.pop(node, None)
        self.record.fallbacks.pop(node, None)
        if standing_in is None or error is standing_in.error:
            return
        if error.__context__ is None and error.__cause__ is None:
            error.__context__ = standing_in.error
        first = self.record.redact(exception_text(standing_in.error))
        error.add_note(f"raised by {standing_in.fallback.name}, which stood in after {first}")

    def _spec(self, node: int) -> Any:
        plan = self.plan
        if self.record.scopes is not None:
            plan, node = self.record.scopes.place(node)
        return plan.specs[plan.spec_of[node]]
