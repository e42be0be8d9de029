"""The other end of `measured_process`: starts it, asks it, and gives it up when it does not answer."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

HERE = Path(__file__).resolve().parent


class MeasuredEngine:
    """An engine in its own process.

    Parameters
    ----------
    name : str
        Its name in `engines.registry.ALL`.
    patience : float
        Seconds after which an order that is not answered ends the process.
    verbose : bool
        Whether what the libraries print is shown.
    """

    def __init__(self, name: str, patience: float = 180.0, verbose: bool = False) -> None:
        self.name = name
        self._patience = patience
        self._verbose = verbose
        self._process: subprocess.Popen[str] | None = None

    def _started(self) -> subprocess.Popen[str]:
        if self._process is None or self._process.poll() is not None:
            self._process = subprocess.Popen(
                [sys.executable, str(HERE / "measured_process.py"), self.name],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=None if self._verbose else subprocess.DEVNULL,
                text=True,
                # Its group is ended with it: some engines have processes of their own.
                start_new_session=True,
                env=os.environ | {"OPENBLAS_NUM_THREADS": "1", "PYTHONHASHSEED": "0"},
            )
        return self._process

    def ask(self, order: dict[str, Any]) -> dict[str, Any]:
        """Send an order; return its answer, or under `unsupported` why there is none."""
        process = self._started()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps(order) + "\n")
            process.stdin.flush()
        except BrokenPipeError:
            return self._lost(process)
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            if not selector.select(self._patience):
                self._end(process)
                return {"unsupported": f"gave no answer within {self._patience:.0f} s"}
        line = process.stdout.readline()
        if not line:
            return self._lost(process)
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _lost(self, process: subprocess.Popen[str]) -> dict[str, Any]:
        self._end(process)
        return {"unsupported": f"its process ended with {process.returncode}"}

    @staticmethod
    def _end(process: subprocess.Popen[str]) -> None:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        process = self._process
        if process is None or process.poll() is not None:
            return
        assert process.stdin is not None
        try:
            process.stdin.write('{"do": "leave"}\n')
            process.stdin.close()
            process.wait(20)
        except (BrokenPipeError, subprocess.TimeoutExpired):
            pass
        self._end(process)
