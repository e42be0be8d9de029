"""Starting a worker process: a fresh interpreter, which never runs the program's ``__main__``."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from typing import Any, NamedTuple

from execution_dataflow.executors.processes.marker import Marker

__all__ = ["Started", "start_worker"]

# Ctrl-C is the parent's to act on. It is blocked when the process starts, and ignored before it is let through. Where
# modules are found comes from the parent; `-P` keeps the working directory out of the search for those before that.
_PROGRAM = """
import signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
if hasattr(signal, "pthread_sigmask"):
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
import json, socket
def take(count):
    data = b""
    while len(data) < count:
        data += connection.recv(count - len(data)) or sys.exit(1)
    return data
if sys.platform == "win32":
    shares = json.loads(sys.stdin.readline())
    connection, control = (socket.fromshare(bytes.fromhex(share)) for share in shares)
    marker = None
else:
    connection, control = (socket.socket(fileno=int(number)) for number in sys.argv[1:3])
    marker = int(sys.argv[3])
start = json.loads(take(int.from_bytes(take(8), "little")))
sys.path[:], sys.argv[:] = start["path"], start["argv"]
from execution_dataflow.executors.processes.worker import serve
serve(connection, control, marker, start)
"""

_NATIVE_THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)


# A process that has not read by then how it is to start never will.
_READ_SECONDS = 60.0


class Started(NamedTuple):
    """A worker process that was started.

    Parameters
    ----------
    process : subprocess.Popen
        The process.
    connection : socket.socket
        For tasks and results; does not block.
    control : socket.socket
        For what must reach it while it works.
    marker : Marker
        What it works on.
    """

    process: subprocess.Popen[bytes]
    connection: socket.socket
    control: socket.socket
    marker: Marker


def start_worker(native_threads: int | None, memory: tuple[int, tuple[str, ...]]) -> Started:
    """Start a process.

    Parameters
    ----------
    native_threads : int or None
        How many threads its native libraries may use, unless the environment says so already.
    memory : tuple
        What it makes its end of the shared memory from.

    Raises
    ------
    OSError
        The system starts no more processes.
    """
    # A program may have put paths into both, or anything else.
    path, argv = [str(entry) for entry in sys.path], [str(entry) for entry in sys.argv]
    connection, others = socket.socketpair()
    control, others_control = socket.socketpair()
    marker = Marker()
    try:
        data = json.dumps({"path": path, "argv": argv, "marker": marker.name, "memory": memory}).encode()
        try:
            process = _start(others, others_control, marker, native_threads)
        finally:
            # With these open here too, nothing would tell that the process is gone which is to read what follows.
            others.close()
            others_control.close()
    except BaseException:
        marker.close()
        connection.close()
        control.close()
        raise
    # One that is gone already is missed as any other that ends before it takes work. One that does not read is ended.
    connection.settimeout(_READ_SECONDS)
    try:
        connection.sendall(len(data).to_bytes(8, "little") + data)
    except TimeoutError:
        process.kill()
    except OSError:
        pass
    marker.close_file()
    connection.setblocking(False)
    control.setblocking(False)
    return Started(process, connection, control, marker)


def _start(
    connection: socket.socket, control: socket.socket, marker: Marker, native_threads: int | None
) -> subprocess.Popen[bytes]:
    if not sys.executable:
        raise OSError("this interpreter does not know its own executable (sys.executable), which a worker would run")
    flags: list[str] = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]
    command = [sys.executable, *flags, "-P", "-c", _PROGRAM]
    environment = dict(os.environ)
    if native_threads is not None:
        for variable in _NATIVE_THREADS:
            environment.setdefault(variable, str(native_threads))
    if sys.platform == "win32":
        return _start_on_windows(command, environment, (connection, control))
    assert marker.descriptor is not None
    numbers = (connection.fileno(), control.fileno(), marker.descriptor)
    return _with_interrupts_blocked(
        [*command, *map(str, numbers)], stdin=subprocess.DEVNULL, pass_fds=numbers, env=environment
    )


def _with_interrupts_blocked(command: list[str], **options: Any) -> subprocess.Popen[bytes]:
    import signal

    # The mask is the thread's, and the process inherits it.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        return subprocess.Popen(command, **options)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start_on_windows(
    command: list[str], environment: dict[str, str], sockets: tuple[socket.socket, ...]
) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(command, stdin=subprocess.PIPE, env=environment)
    assert process.stdin is not None
    shares = [end.share(process.pid).hex() for end in sockets]  # type: ignore[attr-defined]
    process.stdin.write(json.dumps(shares).encode() + b"\n")
    process.stdin.close()
    return process
