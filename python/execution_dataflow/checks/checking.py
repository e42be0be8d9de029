"""The checks around an attempt: a function that looks at the inputs, calls the operation, and looks at the outputs.

An operation without checks is called as it is: nothing here is in its way.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

from execution_dataflow._core import MISSING, OperationBase, current_frame
from execution_dataflow.check_errors import BrokenCheckError, CheckFailed
from execution_dataflow.checks.check import Check
from execution_dataflow.checks.outcome import CheckOutcome, CheckPlace
from execution_dataflow.errors import ContractError, PortError, UnknownPortError

__all__ = ["PortChecks", "checked", "port_checks"]

_PortAndChecks = tuple[str, Any, tuple[Check, ...]]
_SHOWN = 5


@dataclass(frozen=True, slots=True, eq=False)
class PortChecks:
    """The checks of the ports of one kind of operation.

    Parameters
    ----------
    label : str
        The name of its class or function.
    inputs, outputs : tuple of (name, default, checks)
        All its ports.
    returns_outputs : bool
        Whether it is a function, whose outputs are what it returns.
    spread : bool
        Whether that is a tuple with one item for each output.
    """

    label: str
    inputs: tuple[_PortAndChecks, ...]
    outputs: tuple[_PortAndChecks, ...]
    returns_outputs: bool = False
    spread: bool = False

    def declared(self) -> Iterator[tuple[CheckPlace, Check]]:
        """Give each check, with which one it is."""
        for name, _, checks in self.inputs:
            for number, check in enumerate(checks):
                yield (self.label, "input", name, number), check
        for name, _, checks in self.outputs:
            for number, check in enumerate(checks):
                yield (self.label, "output", name, number), check


def port_checks(label: str, ports: Any, *, returns_outputs: bool = False, spread: bool = False) -> PortChecks | None:
    """Return the checks of an operation's ports, or ``None`` if there are none.

    Parameters
    ----------
    label : str
        The name of its class or function.
    ports : PortSignature
        The ports.
    returns_outputs, spread : bool
        See `PortChecks`.

    Raises
    ------
    UnknownPortError, PortError
        A check uses a port that the operation does not have, or that has no value when it is asked.
    """
    inputs = tuple((name, port.default, port.checks) for name, port in ports.inputs)
    outputs = tuple((name, MISSING, port.checks) for name, port in ports.outputs)
    if not any(checks for _, _, checks in (*inputs, *outputs)):
        return None
    before, after = [name for name, _, _ in inputs], [name for name, _, _ in outputs]
    for own, known, others in ((inputs, before, after), (outputs, before + after, [])):
        for name, _, checks in own:
            for check in checks:
                for other in check.other_ports:
                    if other in known:
                        continue
                    if other in others:
                        raise PortError(
                            f"the check {check.name!r} of the input {name!r} of {label} uses the output {other!r}, "
                            "which is not there yet: give the check to an output",
                            operation=label,
                            port=name,
                        )
                    raise UnknownPortError(
                        label, other, known, "input", hint=f"The check {check.name!r} of its port {name!r} uses it."
                    )
    return PortChecks(label, inputs, outputs, returns_outputs, spread)


def checked(function: Callable[..., Any], is_coroutine: bool, ports: PortChecks) -> Callable[..., Any]:
    """Return what is called in the place of the function of an operation.

    Parameters
    ----------
    function : callable
        Its ``execute``, or the decorated function.
    is_coroutine : bool
        Whether that is a coroutine function.
    ports : PortChecks
        The checks.
    """
    if is_coroutine:

        @functools.wraps(function)
        async def check_coroutine(*args: Any, **kwargs: Any) -> Any:
            outcomes: list[CheckOutcome] = []
            try:
                _check_inputs(ports, outcomes)
                value = await function(*args, **kwargs)
                _check_outputs(ports, value, outcomes)
            except BaseException:
                _note(ports, outcomes, False)
                raise
            _note(ports, outcomes, True)
            return value

        return check_coroutine

    @functools.wraps(function)
    def check(*args: Any, **kwargs: Any) -> Any:
        outcomes: list[CheckOutcome] = []
        try:
            _check_inputs(ports, outcomes)
            value = function(*args, **kwargs)
            _check_outputs(ports, value, outcomes)
        except BaseException:
            _note(ports, outcomes, False)
            raise
        _note(ports, outcomes, True)
        return value

    return check


class _Values(Mapping[str, Any]):
    """The values of the ports of the attempt that runs here, for checks that use several."""

    def __init__(self, ports: PortChecks, outputs: Mapping[str, Any] | None) -> None:
        self._ports = ports
        self._outputs = outputs

    def __getitem__(self, name: str) -> Any:
        if self._outputs is not None and name in self._outputs:
            return self._outputs[name]
        if any(name == known for known, _, _ in self._ports.inputs):
            return OperationBase.get_input(_operation(), name)
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        names = [name for name, _, _ in self._ports.inputs]
        return iter(dict.fromkeys([*names, *(self._outputs or ())]))

    def __len__(self) -> int:
        return len(list(iter(self)))


def _operation() -> Any:
    frame = current_frame()
    assert frame is not None, "an operation with checks was called outside of a run"
    return frame.operation


def _check_inputs(ports: PortChecks, outcomes: list[CheckOutcome]) -> None:
    if not any(checks for _, _, checks in ports.inputs):
        return
    values = _Values(ports, None)
    for name, default, checks in ports.inputs:
        if not checks:
            continue
        try:
            value = OperationBase.get_input(_operation(), name)
        except ContractError:
            continue  # of a clean-up whose source has failed, and which may do without
        # To a port that is None by default, nothing has arrived.
        if value is not None or default is not None:
            _check(ports, "input", name, checks, value, values, outcomes)
    _raise_if_failed(outcomes)


def _check_outputs(ports: PortChecks, returned: Any, outcomes: list[CheckOutcome]) -> None:
    if not any(checks for _, _, checks in ports.outputs):
        return
    outputs = _outputs(ports, returned)
    values = _Values(ports, outputs)
    for name, _, checks in ports.outputs:
        if checks and name in outputs:
            _check(ports, "output", name, checks, outputs[name], values, outcomes)
    _raise_if_failed(outcomes)


def _outputs(ports: PortChecks, returned: Any) -> dict[str, Any]:
    """The outputs that are set; what is wrong with them is for those to say who commit them."""
    names = [name for name, _, _ in ports.outputs]
    if ports.returns_outputs:
        if not ports.spread:
            return dict.fromkeys(names, returned)
        is_right = isinstance(returned, tuple) and len(returned) == len(names)
        return dict(zip(names, returned, strict=True)) if is_right else {}
    found, operation = {}, _operation()
    for name in names:
        with suppress(ContractError):
            found[name] = OperationBase.get_output(operation, name)
    return found


def _check(
    ports: PortChecks,
    direction: Literal["input", "output"],
    name: str,
    checks: tuple[Check, ...],
    value: Any,
    values: _Values,
    outcomes: list[CheckOutcome],
) -> None:
    operation, attempt = _identity()
    for check in checks:
        try:
            outcomes.append(check.outcome_for(name, direction, value, values, operation, attempt))
        except BrokenCheckError as error:
            error.operation = operation
            raise


def _identity() -> tuple[str, int]:
    frame = current_frame()
    assert frame is not None, "an operation with checks was called outside of a run"
    return frame.run.name_of(frame.node, frame.items), frame.attempt


def _note(ports: PortChecks, outcomes: list[CheckOutcome], is_success: bool) -> None:
    # No frame object stays in a local variable of those that a traceback leads to: the collector sees no cycle there.
    frame = current_frame()
    if frame is not None:
        frame.run.note_checks(frame.node, frame.items, ports.label, outcomes, is_success)


def _raise_if_failed(outcomes: list[CheckOutcome]) -> None:
    failed = [outcome for outcome in outcomes if outcome.status == "failed"]
    if not failed:
        return
    first = failed[0]
    texts = [f"{outcome.direction} {outcome.port!r}: {outcome.message}" for outcome in failed[:_SHOWN]]
    if len(failed) > _SHOWN:
        texts.append(f"and {len(failed) - _SHOWN} more")
    count = "a check" if len(failed) == 1 else f"{len(failed)} checks"
    raise CheckFailed(
        f"{count} of {first.operation} failed: {'; '.join(texts)}",
        operation=first.operation,
        port=first.port,
        outcomes=failed,
    )
