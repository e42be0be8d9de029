"""Messages between this process and a worker: a stream socket that carries metadata, buffers and file descriptors.

A message is a header, metadata (a pickle of plain values), and a body of raw buffers, each on a boundary of 16 bytes,
so that arrays can lie where they were received. File descriptors travel with the first byte of their message, where the
platform can send them.
"""

from __future__ import annotations

import array
import pickle
import socket
from collections import deque
from collections.abc import Iterator, Sequence
from struct import Struct
from typing import Any, NamedTuple

__all__ = ["ALIGNMENT", "CAN_SEND_DESCRIPTORS", "MOST_DESCRIPTORS", "Inbox", "Incoming", "Outbox"]

# kind, file descriptors, bytes of metadata, bytes of body
_HEADER = Struct("<HHIQ")
ALIGNMENT = 16
"""Where buffers lie in the body of a message."""
_PIECE = 1 << 18
# The system takes no more pieces in one call; POSIX promises 16, Linux and macOS take 1024.
_MOST_PIECES = 256
MOST_DESCRIPTORS = 64
"""How many file descriptors one message can carry."""

CAN_SEND_DESCRIPTORS: bool = hasattr(socket, "CMSG_SPACE") and hasattr(socket, "SCM_RIGHTS")
"""Whether messages can carry file descriptors."""
_SPACE = socket.CMSG_SPACE(MOST_DESCRIPTORS * array.array("i").itemsize) if CAN_SEND_DESCRIPTORS else 0
_CLOSE_ON_EXEC = getattr(socket, "MSG_CMSG_CLOEXEC", 0)


class Incoming(NamedTuple):
    """A message that was received.

    Parameters
    ----------
    kind : int
        What it says.
    data : object
        The metadata.
    body : bytearray
        The buffers, behind each other. Nobody else has it.
    descriptors : list of int
        File descriptors, which are the receiver's to close.
    """

    kind: int
    data: Any
    body: bytearray
    descriptors: list[int]


class Outbox:
    """What is to be sent, in order.

    Parameters
    ----------
    connection : socket.socket
        The socket; one that blocks is written to its end by `flush`.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._pieces: deque[memoryview] = deque()
        # For each piece that begins a message with file descriptors, these.
        self._descriptors: dict[int, Sequence[int]] = {}
        self.is_empty = True

    def put(self, kind: int, data: Any, buffers: Sequence[memoryview] = (), descriptors: Sequence[int] = ()) -> None:
        """Add a message. Descriptors must stay open until it was sent, and the memory of buffers as it is.

        Parameters
        ----------
        kind : int
            What it says.
        data : object
            Plain values, which are pickled.
        buffers : sequence of memoryview
            Contiguous bytes.
        descriptors : sequence of int
            File descriptors to pass on.
        """
        metadata = pickle.dumps(data, 5)
        size = 0
        pieces: list[memoryview] = []
        for buffer in buffers:
            pieces.append(buffer)
            size += buffer.nbytes
            gap = -size % ALIGNMENT
            if gap:
                pieces.append(memoryview(bytes(gap)))
                size += gap
        head = memoryview(_HEADER.pack(kind, len(descriptors), len(metadata), size) + metadata)
        if descriptors:
            if not CAN_SEND_DESCRIPTORS or len(descriptors) > MOST_DESCRIPTORS:
                raise ValueError(f"{len(descriptors)} file descriptors cannot be sent with one message here")
            self._descriptors[id(head)] = descriptors
        self._pieces.append(head)
        self._pieces.extend(pieces)
        self.is_empty = False

    def flush(self) -> bool:
        """Send as much as the socket takes; return whether that was everything.

        Raises
        ------
        OSError
            The other side is gone.
        """
        pieces = self._pieces
        while pieces:
            try:
                sent = self._send_some()
            except (BlockingIOError, InterruptedError):
                return False
            while sent or (pieces and not pieces[0].nbytes):
                first = pieces[0]
                if first.nbytes > sent:
                    pieces[0] = first[sent:]
                    break
                sent -= first.nbytes
                pieces.popleft()
        self.is_empty = True
        return True

    def _send_some(self) -> int:
        pieces = self._pieces
        if len(pieces) == 1 and not self._descriptors:
            return self._socket.send(pieces[0])
        if not hasattr(self._socket, "sendmsg"):
            return self._socket.send(pieces[0])
        batch: list[memoryview] = []
        ancillary: list[tuple[int, int, Any]] = []
        for piece in pieces:
            descriptors = self._descriptors.get(id(piece)) if self._descriptors else None
            if descriptors is not None:
                if batch:
                    break  # so that they go with the first byte of what they belong to
                ancillary.append((socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors)))
            batch.append(piece)
            if len(batch) == _MOST_PIECES:
                break
        sent = self._socket.sendmsg(batch, ancillary)
        if ancillary:
            del self._descriptors[id(pieces[0])]
        return sent


class Inbox:
    """Takes messages apart as they come in.

    Parameters
    ----------
    connection : socket.socket
        The socket.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._buffer = bytearray(_PIECE)
        self._view = memoryview(self._buffer)
        self._begin = self._end = 0
        self._descriptors: list[int] = []
        # A message of which the body is longer than what was received with its head.
        self._open: Incoming | None = None
        self._room: memoryview | None = None
        self.is_closed = False

    def receive(self) -> Iterator[Incoming]:
        """Read once from the socket and give what is complete; at its end set `is_closed`.

        Raises
        ------
        OSError
            The connection broke. That is a way to end too.
        """
        if self._room is not None:
            count = self._read_into(self._room)
            if count == 0:
                self.is_closed = True
                return
            self._room = self._room[count:]
            if self._room.nbytes:
                return
            whole, self._open, self._room = self._open, None, None
            assert whole is not None
            yield whole
            return
        count = self._read_into(self._view[self._end :])
        if count == 0:
            self.is_closed = True
            return
        self._end += count
        yield from self._complete()

    def _complete(self) -> Iterator[Incoming]:
        while self._end - self._begin >= _HEADER.size:
            kind, descriptors, metadata, size = _HEADER.unpack_from(self._buffer, self._begin)
            start = self._begin + _HEADER.size
            if self._end - start < metadata:
                self._make_room(_HEADER.size + metadata)
                return
            data = pickle.loads(self._view[start : start + metadata])
            taken = self._descriptors[:descriptors]
            del self._descriptors[:descriptors]
            start += metadata
            there = min(size, self._end - start)
            body = bytearray(size)
            body[:there] = self._view[start : start + there]
            self._begin = start + there
            if there == size:
                yield Incoming(kind, data, body, taken)
                continue
            self._open = Incoming(kind, data, body, taken)
            self._room = memoryview(body)[there:]
        if self._begin == self._end:
            self._begin = self._end = 0
        else:
            self._make_room(_HEADER.size)

    def _make_room(self, needed: int) -> None:
        """Move the beginning of a message to the front, where all of its head has room."""
        rest = bytes(self._view[self._begin : self._end])
        if needed > len(self._buffer):
            self._buffer = bytearray(needed)
            self._view = memoryview(self._buffer)
        self._view[: len(rest)] = rest
        self._begin, self._end = 0, len(rest)

    def _read_into(self, room: memoryview) -> int:
        if not CAN_SEND_DESCRIPTORS or self._socket.family != socket.AF_UNIX:
            return self._socket.recv_into(room)
        count, ancillary, _, _ = self._socket.recvmsg_into([room], _SPACE, _CLOSE_ON_EXEC)
        for level, kind, data in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                received = array.array("i")
                received.frombytes(data[: len(data) - len(data) % received.itemsize])
                self._descriptors.extend(received)
        return count
