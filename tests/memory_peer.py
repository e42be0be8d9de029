"""A worker process with nothing but shared memory: it calls functions of `memory_tasks` on what it is sent."""

from __future__ import annotations

import os
import pickle
import signal
import socket
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

from execution_dataflow.shared_memory import MainLink, Message, SharedMemory, WorkerLink, become_worker, pack

LIMIT_SECONDS = 30.0
_HEAD = struct.Struct("<QI")
_TESTS = Path(__file__).parent
_MOST_DESCRIPTORS = 250


def send(channel: socket.socket, message: Message) -> int:
    """Send a message; how many bytes went through the socket."""
    data = message.to_bytes()
    socket.send_fds(channel, [_HEAD.pack(len(data), len(message.descriptors))], message.descriptors)
    channel.sendall(data)
    message.close()
    return len(data)


def receive(channel: socket.socket) -> tuple[bytearray, list[int]] | None:
    """Receive a message; ``None`` at the end."""
    head, descriptors, _, _ = socket.recv_fds(channel, _HEAD.size, _MOST_DESCRIPTORS)
    if len(head) < _HEAD.size:
        return None
    length, count = _HEAD.unpack(head)
    assert len(descriptors) == count
    data = bytearray(length)
    view = memoryview(data)
    while view:
        got = channel.recv_into(view)
        if not got:
            return None
        view = view[got:]
    return data, descriptors


class Peer:
    """A worker process, from the side of the main process."""

    def __init__(self, memory: SharedMemory) -> None:
        self.memory = memory
        self.link = WorkerLink(memory)
        self.channel, theirs = socket.socketpair()
        self.channel.settimeout(LIMIT_SECONDS)
        self.bytes_sent = 0
        options = pickle.dumps(self.link.options()).hex()
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-c", f"import memory_peer; memory_peer.serve({theirs.fileno()}, {options!r})"],
                pass_fds=[theirs.fileno()],
                env={**os.environ, "PYTHONPATH": os.pathsep.join([str(_TESTS), *filter(None, sys.path)])},
            )

    def post(self, function: Any, *arguments: Any, final: bool = False) -> None:
        parcel = pack(self.memory, (function, arguments))
        del arguments
        self.bytes_sent += send(self.channel, self.link.wrap([parcel], final=final))

    def read(self) -> Any:
        """Read one answer: what its parcel holds, or ``None`` when there is none."""
        received = receive(self.channel)
        if received is None:
            raise EOFError("the worker is gone")
        parcels = self.link.unwrap(*received)
        if not parcels:
            return None
        value = parcels[0].load(writeable=True)
        if isinstance(value, BaseException):
            raise value
        return value

    def call(self, function: Any, *arguments: Any, final: bool = False) -> Any:
        self.post(function, *arguments, final=final)
        del arguments
        return self.read()

    def settle(self) -> None:
        """Exchange messages without parcels until the worker owes nothing."""
        send(self.channel, self.link.wrap())
        self.read()

    def kill(self) -> None:
        """Kill it, read what it had sent, and let its holds lapse, as an executor does."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(LIMIT_SECONDS)
        while (received := receive(self.channel)) is not None:
            self.link.unwrap(*received)
        self.close()

    def close(self) -> None:
        self.channel.close()
        try:
            self.process.wait(LIMIT_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(LIMIT_SECONDS)
            raise
        finally:
            self.link.close()


def serve(descriptor: int, options: str) -> None:
    """Answer until the other side closes."""
    channel = socket.socket(fileno=descriptor)
    link = become_worker(*pickle.loads(bytes.fromhex(options)))
    while (received := receive(channel)) is not None:
        parcels = link.unwrap(*received)
        del received
        if parcels:
            answer(link, channel, parcels)
        else:
            send(channel, link.wrap())


def answer(link: MainLink, channel: socket.socket, parcels: list[Any]) -> None:
    from execution_dataflow.shared_memory import process_memory

    function, arguments = parcels.pop().load()
    try:
        value = function(*arguments)
    except Exception as error:
        value = error
    del arguments
    parcel = pack(process_memory(), value)
    del value
    send(channel, link.wrap([parcel]))
