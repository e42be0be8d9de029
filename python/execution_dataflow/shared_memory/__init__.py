"""Memory that processes share, so that arrays pass between them without copies.

A process executor uses it like this. The main process makes a `WorkerLink` for each worker and tells the worker its
``options()``; the worker calls `become_worker` with them and gets a `MainLink`. Either side makes a `Parcel` of a value
(`pack`, on any thread), wraps parcels into a `Message` (``wrap``), and sends its chunks and descriptors; the other side
gives both to ``unwrap`` and loads the parcels. (An executor with messages of its own uses ``describe`` and ``accept``.)
Before a worker sleeps it sends ``wrap()`` if it ``owes`` something; when a worker is gone and its last message was
read, the main process calls ``close`` on its link.

Everything else follows: arrays of `empty`, views of them and all that was received before pass without a copy, other
large memory with one; readers get read-only views; memory that nobody uses any more is used again.
"""

from execution_dataflow.shared_memory.arrays import reduce_array
from execution_dataflow.shared_memory.main_link import MainLink
from execution_dataflow.shared_memory.memory import SharedMemory, SharedMemoryStats
from execution_dataflow.shared_memory.messages import Accounts, Description, Message, Placed, close_owned
from execution_dataflow.shared_memory.parcels import Parcel, pack, place
from execution_dataflow.shared_memory.process import become_worker, begin_use, empty, end_use, process_memory
from execution_dataflow.shared_memory.sizes import THRESHOLD
from execution_dataflow.shared_memory.worker_link import WorkerLink

__all__ = [
    "THRESHOLD",
    "Accounts",
    "Description",
    "MainLink",
    "Message",
    "Parcel",
    "Placed",
    "SharedMemory",
    "SharedMemoryStats",
    "WorkerLink",
    "become_worker",
    "begin_use",
    "close_owned",
    "empty",
    "end_use",
    "pack",
    "place",
    "process_memory",
    "reduce_array",
]
