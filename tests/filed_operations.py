"""Operations that files of the tests name; those that must never be made or called note it in `TOUCHED`."""

from __future__ import annotations

import os
import time
from functools import partial
from pathlib import Path
from typing import Any

from execution_dataflow import ExecutionContext, InputPort, Operation, OutputPort, RateLimit, RetryPolicy, operation

TOUCHED: list[str] = []
system = os.system
nothing = 3
add_three = partial(sum, start=3)


class Trouble(Exception):
    """An exception of this module."""


@operation
def load(path: str) -> bytes:
    return path.encode()


@operation(retry_policy=RetryPolicy(2), priority=4, tags=["io"])
def fetch(path: str | None = None) -> bytes:
    return str(path).encode()


@operation(outputs=("head", "tail"))
def split(raw: bytes, at: int = 1) -> tuple[bytes, bytes]:
    return raw[:at], raw[at:]


@operation
def accept(value: Any) -> Any:
    return value


@operation
def tell(context: ExecutionContext, text: bytes) -> str:
    return text.decode()


def plain(x: int, y: int = 2) -> int:
    TOUCHED.append("plain")
    return x * y


def pair(x: int) -> tuple[int, int]:
    return x, x + 1


class Clean(Operation):
    raw = InputPort(bytes)
    clean = OutputPort(bytes)

    def __init__(self, limit: int = 9, *, ending: str = "", **options: Any) -> None:
        super().__init__(**options)
        self.limit = limit
        self.ending = ending

    def execute(self, context: object) -> None:
        self.clean = self.raw.strip()[: self.limit] + self.ending.encode()


class Plain(Operation):
    raw = InputPort(bytes)
    out = OutputPort(bytes)

    def execute(self, context: object) -> None:
        self.out = self.raw


class Resilient(Operation):
    """Gives itself its options, as the brief does."""

    x = InputPort(int)
    y = OutputPort(int)

    def __init__(self) -> None:
        super().__init__(retry_policy=RetryPolicy(max_attempts=3, delay_seconds=5), timeout_seconds=7)

    def execute(self, context: object) -> None:
        self.y = self.x


class OwnOptions(Operation):
    """Takes an option of its own accord, and looks at it."""

    x = InputPort(int, default=1)

    def __init__(self, retry_policy: RetryPolicy, rate_limit: RateLimit) -> None:
        super().__init__(retry_policy=retry_policy)
        self.attempts = retry_policy.max_attempts
        self.rate = rate_limit.count

    def execute(self, context: object) -> None:
        pass


class Settings(Operation):
    """Has arguments of its own that are called as options are."""

    def __init__(self, **settings: Any) -> None:
        super().__init__()
        self.settings = settings

    def execute(self, context: object) -> None:
        pass


class Dated(Operation):
    """Is different each time that it is made."""

    def __init__(self) -> None:
        super().__init__()
        self.made_at = time.perf_counter_ns()

    def execute(self, context: object) -> None:
        pass


class Join(Operation):
    parts = InputPort(bytes, many=True)
    joined = OutputPort(bytes)

    def execute(self, context: object) -> None:
        self.joined = b"".join(self.parts)


class Broken(Operation):
    def __init__(self, how: str) -> None:
        raise Trouble(how)

    def execute(self, context: object) -> None:
        pass


class Silent(Operation):
    """Has no outputs, and does not define what it does."""


class Outer:
    class Inner(Operation):
        def execute(self, context: object) -> None:
            pass

    class NoOperation:
        def __init__(self) -> None:
            TOUCHED.append("NoOperation")


class Where(Operation):
    """Takes paths."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path

    def execute(self, context: object) -> None:
        pass


def __getattr__(name: str) -> Any:
    TOUCHED.append(name)
    return load


@operation
def increase(x: int) -> int:
    return x + 1


@operation(outputs="x")
def grow(x: int) -> int:
    return 2 * x


@operation
def is_large(x: int) -> bool:
    return x > 10


@operation
def up_to(x: int) -> list[int]:
    return list(range(x))


def parity(value: int) -> str:
    return "odd" if value % 2 else "even"


class Typed(Operation):
    """Takes the type of its port from whoever makes it."""

    def __init__(self, kind: Any) -> None:
        super().__init__()
        self.add_output_port("value", OutputPort(kind))

    def execute(self, context: Any) -> None:
        self.set_output("value", None)
