"""What goes wrong because an operation runs in another process."""

from __future__ import annotations

import signal as signals

from execution_dataflow.errors import ContractError, DataflowError

__all__ = ["RemoteTraceback", "TransferError", "WorkerDied", "WorkerStartError"]


class WorkerDied(DataflowError):
    """The worker process that ran an operation ended in the middle of it: killed, crashed, or by ``os._exit``.

    Only the operation that ran fails. A `RetryPolicy` may name this class: every attempt gets a process of its own
    then, should the one before have died.

    Parameters
    ----------
    operation : str
        The name of the operation that ran.
    pid : int
        The process.
    signal : int, optional
        The number of the signal that ended it.
    exit_code : int, optional
        What it exited with, if no signal ended it.
    by_engine : bool, optional
        Whether the engine ended it, for an error of its own.

    Attributes
    ----------
    operation : str
        The name of the operation that ran.
    pid : int
        The process.
    signal : int or None
        The number of the signal that ended it.
    exit_code : int or None
        What it exited with, if no signal ended it.

    Examples
    --------
    >>> print(WorkerDied("load", 4711, exit_code=3))
    the process (pid 4711) that ran 'load' ended with exit code 3 before the operation was done
    """

    def __init__(
        self,
        operation: str = "",
        pid: int = 0,
        signal: int | None = None,
        exit_code: int | None = None,
        *,
        by_engine: bool = False,
    ) -> None:
        if by_engine:
            how = "was ended by the engine for an internal error, which it has logged (please report it),"
        elif signal is None:
            how = "ended" if exit_code is None else f"ended with exit code {exit_code}"
        else:
            how = f"was ended by {_signal_name(signal)}{_hint_of(signal)}"
        super().__init__(f"the process (pid {pid}) that ran {operation!r} {how} before the operation was done")
        self.operation = operation
        self.pid = pid
        self.signal = signal
        self.exit_code = exit_code


class TransferError(ContractError):
    """Something cannot pass between this process and a worker process. Another attempt would fail too.

    Attributes
    ----------
    operation : str or None
        The name of the operation.
    port : str or None
        The port whose value it is; ``None`` when it is the operation itself, the context or an exception.
    """


class WorkerStartError(DataflowError, RuntimeError):
    """Worker processes do not start, or end before they take any work; their stderr says why."""


class RemoteTraceback(Exception):
    """The traceback of an exception in a worker process, as the cause of that exception here.

    What was the cause there is the cause of this.

    Parameters
    ----------
    text : str
        The traceback, without the engine's own frames.
    where : str, optional
        The innermost line of the user's code, as ``file:line in function``.

    Attributes
    ----------
    text : str
        The traceback.
    where : str or None
        The innermost line of the user's code.
    """

    def __init__(self, text: str = "", where: str | None = None) -> None:
        super().__init__(text)
        self.text = text
        self.where = where

    def __str__(self) -> str:
        return f'\n"""\n{self.text.rstrip()}\n"""'

    def __reduce__(self) -> tuple[type[RemoteTraceback], tuple[str, str | None]]:
        return RemoteTraceback, (self.text, self.where)


def _signal_name(number: int) -> str:
    try:
        return signals.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _hint_of(number: int) -> str:
    if number == getattr(signals, "SIGKILL", None):
        return " (by the system, perhaps, which ends processes when memory runs out)"
    if number in (getattr(signals, "SIGSEGV", None), getattr(signals, "SIGBUS", None)):
        return " (a crash in native code)"
    return ""
