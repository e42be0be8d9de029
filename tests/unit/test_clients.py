"""Clients: made once a run, when first asked for, and closed at its end in reverse order."""

from __future__ import annotations

import asyncio
import io
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import pytest

from execution_dataflow.clients import ClientPool
from execution_dataflow.errors import OutsideRunError


class Recorded:
    """A client that notes in a log when it is closed."""

    def __init__(self, name: str, log: list[str]) -> None:
        self.name = name
        self.log = log

    def close(self) -> None:
        self.log.append(self.name)


def test_a_factory_is_called_once_and_only_when_asked_for() -> None:
    made: list[str] = []
    pool = ClientPool({"db": lambda: made.append("db") or object(), "idle": lambda: made.append("idle")})
    assert made == []
    assert pool["db"] is pool.db
    assert made == ["db"]


def test_many_threads_get_one_client() -> None:
    def slow() -> object:
        time.sleep(0.01)
        return object()

    pool = ClientPool({"db": slow})
    barrier = threading.Barrier(8)
    seen: list[object] = []

    def ask() -> None:
        barrier.wait()
        seen.append(pool["db"])

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 8
    assert len(set(map(id, seen))) == 1


def test_one_slow_factory_does_not_hold_up_another() -> None:
    may_finish = threading.Event()
    pool = ClientPool({"slow": may_finish.wait, "fast": object})
    thread = threading.Thread(target=lambda: pool["slow"])
    thread.start()
    try:
        assert pool["fast"] is not None
    finally:
        may_finish.set()
        thread.join()


def test_clients_are_closed_in_reverse_order_of_making() -> None:
    log: list[str] = []
    pool = ClientPool({name: partial(Recorded, name, log) for name in ("a", "b", "c")})
    for name in ("b", "c", "a"):
        pool[name]
    assert pool.close() == []
    assert log == ["a", "c", "b"]


def test_a_client_that_a_factory_asks_for_is_closed_after_it() -> None:
    log: list[str] = []
    pool: ClientPool

    def session() -> Recorded:
        pool["db"]
        return Recorded("session", log)

    pool = ClientPool({"session": session, "db": partial(Recorded, "db", log)})
    pool["session"]
    pool.close()
    assert log == ["session", "db"]


def test_closing_twice_closes_once() -> None:
    log: list[str] = []
    pool = ClientPool({"db": partial(Recorded, "db", log)})
    pool["db"]
    pool.close()
    pool.close()
    assert log == ["db"]


def test_a_client_that_cannot_be_closed_is_reported_and_the_others_are_closed() -> None:
    log: list[str] = []

    class Stuck:
        def close(self) -> None:
            raise OSError("pipe is gone")

    pool = ClientPool({"first": partial(Recorded, "first", log), "stuck": Stuck})
    pool["first"], pool["stuck"]
    [(name, fault)] = pool.close()
    assert (name, str(fault)) == ("stuck", "pipe is gone")
    assert log == ["first"]


def test_a_context_manager_without_close_is_entered_and_left() -> None:
    log: list[str] = []

    @contextmanager
    def session() -> Iterator[str]:
        log.append("entered")
        yield "the session"
        log.append("left")

    pool = ClientPool({"session": session})
    assert pool["session"] == "the session"
    assert log == ["entered"]
    pool.close()
    assert log == ["entered", "left"]


def test_close_is_preferred_to_leaving_a_context_manager() -> None:
    pool = ClientPool({"file": io.StringIO})
    file = pool["file"]
    assert not file.closed
    pool.close()
    assert file.closed


def test_asynchronous_close_is_awaited() -> None:
    log: list[str] = []

    class Session:
        async def aclose(self) -> None:
            await asyncio.sleep(0)
            log.append("closed")

    pool = ClientPool({"session": Session})
    pool["session"]
    assert pool.close() == []
    assert log == ["closed"]


def test_asynchronous_close_runs_where_the_engine_says() -> None:
    log: list[str] = []

    class Session:
        async def close(self) -> None:
            log.append(threading.current_thread().name)

    def run_there(pending: object) -> None:
        thread = threading.Thread(target=asyncio.run, args=(pending,), name="the loop")
        thread.start()
        thread.join()

    pool = ClientPool({"session": Session})
    pool["session"]
    assert pool.close(run_there) == []
    assert log == ["the loop"]


def test_asynchronous_close_works_under_a_running_loop() -> None:
    class Session:
        closed = False

        async def aclose(self) -> None:
            self.closed = True

    async def in_a_notebook() -> bool:
        pool = ClientPool({"session": Session})
        session = pool["session"]
        assert pool.close() == []
        return session.closed

    assert asyncio.run(in_a_notebook())


def test_a_fault_in_an_asynchronous_close_is_reported() -> None:
    class Session:
        async def aclose(self) -> None:
            raise OSError("gone")

    pool = ClientPool({"session": Session})
    pool["session"]
    assert [(name, str(fault)) for name, fault in pool.close()] == [("session", "gone")]


@pytest.mark.parametrize("fault", [SystemExit(1), asyncio.CancelledError()])
def test_no_way_to_fail_at_closing_gets_out(fault: BaseException) -> None:
    class Session:
        async def aclose(self) -> None:
            raise fault

    pool = ClientPool({"session": Session})
    pool["session"]
    [(name, reported)] = pool.close()
    assert name == "session"
    assert type(reported) is type(fault)


def test_a_ready_client_is_handed_out_and_stays_open() -> None:
    file = io.StringIO()
    pool = ClientPool({"file": file})
    assert pool["file"] is file
    pool.close()
    assert not file.closed


def test_a_factory_that_fails_is_named_and_may_succeed_later() -> None:
    answers = iter([OSError("refused"), None])

    def connect() -> str:
        fault = next(answers)
        if fault is not None:
            raise fault
        return "connected"

    pool = ClientPool({"db": connect})
    with pytest.raises(OSError, match="refused") as caught:
        pool["db"]
    assert "while making client 'db'" in caught.value.__notes__[0]
    assert pool["db"] == "connected"


def test_the_note_on_a_failed_factory_shows_no_arguments() -> None:
    def connect(password: str) -> None:
        raise OSError("refused")

    pool = ClientPool({"db": partial(connect, "hunter2")})
    with pytest.raises(OSError, match="refused") as caught:
        pool["db"]
    assert "hunter2" not in "".join(caught.value.__notes__)


def test_a_coroutine_function_is_refused_as_a_factory() -> None:
    async def connect() -> None: ...

    with pytest.raises(TypeError, match="factory of client 'db' is a coroutine function"):
        ClientPool({"db": connect})["db"]


def test_a_factory_that_asks_for_itself_is_refused() -> None:
    pool: ClientPool

    def connect() -> object:
        return pool["db"]

    pool = ClientPool({"db": connect})
    with pytest.raises(RuntimeError, match="factory of client 'db' asks for client 'db' itself"):
        pool["db"]


def test_an_unknown_client_suggests_the_nearest() -> None:
    pool = ClientPool({"database": object, "queue": object})
    with pytest.raises(KeyError, match="no client 'databse'; did you mean 'database'"):
        pool["databse"]
    with pytest.raises(AttributeError, match="'database', 'queue'"):
        pool.databse


def test_a_closed_pool_makes_nothing() -> None:
    pool = ClientPool({"db": object})
    pool.close()
    with pytest.raises(OutsideRunError, match="client 'db' was asked for after its run ended"):
        pool["db"]


def test_a_client_made_while_the_run_ends_is_closed() -> None:
    log: list[str] = []
    begun, may_finish = threading.Event(), threading.Event()
    outcome: list[BaseException] = []

    def connect() -> Recorded:
        begun.set()
        may_finish.wait()
        return Recorded("late", log)

    pool = ClientPool({"db": connect})

    def ask() -> None:
        try:
            pool["db"]
        except OutsideRunError as error:
            outcome.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    begun.wait()
    pool.close()
    may_finish.set()
    thread.join()
    assert log == ["late"]
    assert "while client 'db' was being made" in str(outcome[0])


def test_it_looks_like_a_mapping_of_names() -> None:
    pool = ClientPool({"db": object, "queue": object})
    assert (list(pool), len(pool), "db" in pool, "cache" in pool) == (["db", "queue"], 2, True, False)


def test_repr_says_what_was_made_and_shows_no_client() -> None:
    pool = ClientPool({"db": lambda: "hunter2", "queue": object})
    pool["db"]
    assert repr(pool) == "ClientPool({'db': made, 'queue': not made yet})"


@pytest.mark.parametrize(
    ("clients", "message"), [([1], "clients is a mapping"), ({1: object}, "name of a client is a str")]
)
def test_bad_clients_are_refused(clients: object, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        ClientPool(clients)  # type: ignore[arg-type]
