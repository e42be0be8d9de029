"""What an attempt sees of persistent state, and what it hands over to be committed."""

from __future__ import annotations

import asyncio
import pickle
import threading

import numpy as np
import pytest
from kept_values import OWN, KeptValues

from execution_dataflow.errors import OutsideRunError
from execution_dataflow.kept_state import KeepsState, take_changes
from execution_dataflow.persistent_state import PersistentState
from execution_dataflow.persistent_state.overlays import StateOverlays
from execution_dataflow.persistent_state.places import operation_namespace
from execution_dataflow.store_errors import UnstorableValueError
from execution_dataflow.stores.journal import StateChange


@pytest.fixture
def kept() -> KeptValues:
    return KeptValues()


def changes_of(kept: KeptValues, changes: tuple[StateChange, ...]) -> list[tuple[str, object, int | None]]:
    return [(key, None if data is None else kept.decode(key, data), expected) for _, key, data, expected in changes]


# ---------------------------------------------------------------- reading and writing


def test_attempt_reads_its_own_writes_and_then_the_store(kept: KeptValues) -> None:
    kept.put("watermark", 10)
    state, _ = kept.attempt()
    assert (state.get("watermark"), state.get("rows"), state.get("rows", 0)) == (10, None, 0)
    state.put("watermark", 20)
    assert state.get("watermark") == 20
    state.delete("watermark")
    assert state.get("watermark") is None
    assert "watermark" not in state


def test_reads_repeat_although_somebody_else_commits(kept: KeptValues) -> None:
    kept.put("watermark", 10)
    state, _ = kept.attempt()
    assert state.get("watermark") == 10
    assert "cursor" not in state
    assert state.keys() == ["watermark"]
    kept.put("watermark", 11)
    kept.put("cursor", 1)
    assert state.get("watermark") == 10
    assert state.get("cursor") is None
    assert state.keys() == ["watermark"]
    assert set(kept.asked.values()) == {1}


def test_none_is_a_value(kept: KeptValues) -> None:
    kept.put("last", None)
    state, _ = kept.attempt()
    assert "last" in state
    assert state.get("last", 5) is None


def test_values_are_copies(kept: KeptValues) -> None:
    state, _ = kept.attempt()
    rows = [1]
    state.put("rows", rows)
    rows.append(2)
    state.get("rows").append(3)
    assert state.get("rows") == [1]
    assert state.update("rows", lambda rows: [*rows, 4]) == [1, 4]


def test_keys_are_the_store_s_with_the_changes_of_the_attempt(kept: KeptValues) -> None:
    for key in ("day/1", "day/2", "other"):
        kept.put(key, 0)
    kept.put("day/9", 0, "elsewhere")
    state, _ = kept.attempt()
    state.delete("day/1")
    state.put("day/3", 0)
    state.put("more", 0)
    assert state.keys("day/") == ["day/2", "day/3"]
    assert state.keys() == list(state) == ["day/2", "day/3", "more", "other"]


def test_update_needs_a_value_or_a_default(kept: KeptValues) -> None:
    state, overlay = kept.attempt()
    with pytest.raises(KeyError, match="has no 'runs' to update; give a default"):
        state.update("runs", lambda runs: runs + 1)
    assert state.update("runs", lambda runs: runs + 1, default=0) == 1
    with pytest.raises(ZeroDivisionError):
        state.update("runs", lambda runs: runs // 0)
    assert state.get("runs") == 1
    assert changes_of(kept, overlay.finish()) == [("runs", 1, 0)]


def test_compare_and_set_changes_only_what_is_as_expected(kept: KeptValues) -> None:
    kept.put("status", "open")
    state, overlay = kept.attempt()
    assert not state.compare_and_set("status", "closed", "open")
    assert state.compare_and_set("status", "open", "closed")
    assert not state.compare_and_set("status", "open", "lost")
    assert state.compare_and_set("owner", None, "me")
    assert not state.compare_and_set("owner", None, "you")
    assert changes_of(kept, overlay.finish()) == [("owner", "me", 0), ("status", "closed", 1)]


def test_compare_and_set_compares_whole_arrays(kept: KeptValues) -> None:
    kept.put("weights", np.arange(3))
    state, _ = kept.attempt()
    assert not state.compare_and_set("weights", np.array([0, 1, 3]), np.zeros(3))
    assert not state.compare_and_set("weights", np.arange(4), np.zeros(3))
    assert not state.compare_and_set("weights", None, np.zeros(3))
    assert state.compare_and_set("weights", np.arange(3), [np.arange(3)])
    assert not state.compare_and_set("weights", [np.arange(4)], 0)
    assert state.compare_and_set("weights", [np.arange(3)], 0)


def test_namespaces_are_apart_and_committed_together(kept: KeptValues) -> None:
    state, overlay = kept.attempt()
    orders = state.namespace("orders")
    orders.put("seen", 1)
    state.put("seen", 2)
    assert (orders.get("seen"), state.get("seen")) == (1, 2)
    assert (orders.name, state.name) == ("orders", OWN)
    assert [change.namespace for change in overlay.finish()] == [OWN, "orders"]


# ---------------------------------------------------------------- what is committed


def test_what_was_read_must_not_have_changed(kept: KeptValues) -> None:
    kept.put("read", 1)
    kept.put("read", 2)
    kept.put("blind", 1)
    state, overlay = kept.attempt()
    state.get("read")
    state.put("read", 3)
    state.put("blind", 2)
    state.get("blind")  # its own write: nothing was read of what others have put
    state.put("new", 1)
    assert "absent" not in state
    state.put("absent", 1)
    state.delete("gone")
    assert changes_of(kept, overlay.finish()) == [
        ("absent", 1, 0),
        ("blind", 2, None),
        ("gone", None, None),
        ("new", 1, None),
        ("read", 3, 2),
    ]


def test_versions_are_those_that_are_committed(kept: KeptValues) -> None:
    kept.put("runs", 1)
    kept.put("runs", 2)
    state, overlay = kept.attempt()
    assert (state.version("runs"), state.version("other")) == (2, 0)
    state.put("runs", 3)
    assert state.version("runs") == 2
    kept.commit(overlay.finish())
    assert kept.attempt()[0].version("runs") == 3


def test_nothing_is_committed_of_what_was_only_read_or_never_there(kept: KeptValues) -> None:
    kept.put("read", 1)
    state, overlay = kept.attempt()
    state.get("read")
    assert "temporary" not in state
    state.put("temporary", 1)
    state.delete("temporary")
    assert overlay.finish() == ()


def test_state_is_refused_when_the_attempt_has_ended(kept: KeptValues) -> None:
    state, overlay = kept.attempt(3)
    state.put("runs", 1)
    overlay.finish()
    for use in (lambda: state.get("runs"), lambda: state.put("runs", 2), state.keys, lambda: state.version("runs")):
        with pytest.raises(OutsideRunError, match="the state of load was used when attempt 3 had ended"):
            use()


# ---------------------------------------------------------------- transactions


def test_transaction_is_rolled_back_as_a_whole(kept: KeptValues) -> None:
    kept.put("alice", 100)
    state, overlay = kept.attempt()
    state.put("before", 1)

    def transfer() -> None:
        with state.transaction() as inside:
            inside.put("alice", 70)
            inside.put("before", 2)
            state.namespace("log").put("entry", 1)
            state.put("bob", state.get("bob") + 30)

    with pytest.raises(TypeError):
        transfer()
    assert (state.get("alice"), state.get("before"), state.namespace("log").get("entry")) == (100, 1, None)
    assert changes_of(kept, overlay.finish()) == [("before", 1, None)]


def fail_after(state: PersistentState, **values: int) -> None:
    with state.transaction():
        for key, value in values.items():
            state.put(key, value)
        raise ZeroDivisionError


def test_transaction_that_ends_well_stays(kept: KeptValues) -> None:
    state, overlay = kept.attempt()
    with state.transaction():
        state.put("a", 1)
    with pytest.raises(ZeroDivisionError):
        fail_after(state, a=2)
    assert changes_of(kept, overlay.finish()) == [("a", 1, None)]


def test_inner_transaction_is_rolled_back_alone_or_with_the_outer_one(kept: KeptValues) -> None:
    state, _ = kept.attempt()
    with state.transaction():
        state.put("a", 1)
        with pytest.raises(ZeroDivisionError):
            fail_after(state, a=2, b=2)
        assert (state.get("a"), state.get("b")) == (1, None)

    def fail_outside() -> None:
        with state.transaction():
            with state.transaction():
                state.put("a", 3)
                state.put("c", 3)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_outside()
    assert (state.get("a"), state.get("c")) == (1, None)


def test_rolling_back_leaves_alone_what_other_tasks_have_written(kept: KeptValues) -> None:
    state, overlay = kept.attempt()

    async def failing(is_inside: asyncio.Event, may_end: asyncio.Event) -> None:
        with state.transaction():
            state.put("mine", 1)
            is_inside.set()
            await may_end.wait()
            raise ZeroDivisionError

    async def both() -> None:
        is_inside, may_end = asyncio.Event(), asyncio.Event()
        task = asyncio.create_task(failing(is_inside, may_end))
        await is_inside.wait()
        state.put("other", 1)
        may_end.set()
        with pytest.raises(ZeroDivisionError):
            await task

    asyncio.run(both())
    assert changes_of(kept, overlay.finish()) == [("other", 1, None)]


def test_transaction_of_an_attempt_leaves_another_attempt_alone(kept: KeptValues) -> None:
    """As when an operation runs a graph inside a transaction."""
    outer, _ = kept.attempt()
    inner, inner_overlay = kept.attempt()

    def fail() -> None:
        with outer.transaction():
            inner.put("a", 1)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert changes_of(kept, inner_overlay.finish()) == [("a", 1, None)]


# ---------------------------------------------------------------- threads


def test_updates_of_several_threads_of_an_attempt_all_count(kept: KeptValues) -> None:
    state, _ = kept.attempt()

    def count() -> None:
        for _ in range(200):
            state.update("runs", lambda runs: runs + 1, default=0)

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert state.get("runs") == 800


# ---------------------------------------------------------------- bad input


def test_keys_are_texts_that_databases_can_keep(kept: KeptValues) -> None:
    state, _ = kept.attempt()
    with pytest.raises(TypeError, match="a key of persistent state is a str, not int"):
        state.get(5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="a key of persistent state is not empty"):
        state.put("", 1)
    with pytest.raises(ValueError, match="has no null characters"):
        state.delete("a\0b")
    with pytest.raises(ValueError, match="UTF-8"):
        state.version("\udc80")
    with pytest.raises(ValueError, match="the name of a namespace of persistent state is not empty"):
        state.namespace("")
    with pytest.raises(TypeError, match="a prefix of keys is a str, not bytes"):
        state.keys(b"a")  # type: ignore[arg-type]


def test_what_cannot_be_stored_is_refused_at_once(kept: KeptValues) -> None:
    state, overlay = kept.attempt()
    with pytest.raises(UnstorableValueError, match=r"the value of 'lock of operation:orders/load' cannot be stored"):
        state.put("lock", threading.Lock())
    assert overlay.finish() == ()


def test_state_is_not_passed_on(kept: KeptValues) -> None:
    state, _ = kept.attempt()
    with pytest.raises(TypeError, match="belongs to the attempt that uses it"):
        pickle.dumps(state)
    assert repr(state) == f"<PersistentState {OWN!r}>"


# ---------------------------------------------------------------- the attempts of a run


class Record(KeepsState):
    def __init__(self, overlays: StateOverlays) -> None:
        self.overlays = overlays


@pytest.fixture
def record(kept: KeptValues) -> Record:
    return Record(StateOverlays(kept, "sales/eu", ["load", "clean"].__getitem__))


def test_an_attempt_sees_one_state_whoever_asks_for_it(record: Record) -> None:
    record.state_for(0, (), 1).put("a", 1)
    assert record.state_for(0, (), 1).get("a") == 1
    assert record.state_for(1, (), 1).get("a") is None
    assert record.state_for(0, (7,), 1).get("a") is None


def test_changes_are_taken_once_and_by_their_attempt(record: Record) -> None:
    record.state_for(0, (), 2).put("a", 1)
    assert take_changes(record, 0, (), 1) == ()
    assert take_changes(record, 0, (3,), 2) == ()
    assert [change.key for change in take_changes(record, 0, (), 2)] == ["a"]
    assert take_changes(record, 0, (), 2) == ()


def test_failed_attempt_leaves_no_trace(record: Record) -> None:
    state = record.state_for(0, (), 1)
    state.put("a", 1)
    record.drop_state(0)
    assert take_changes(record, 0, (), 1) == ()
    assert record.state_for(0, (), 2).get("a") is None
    with pytest.raises(OutsideRunError):
        state.put("a", 2)


def test_late_attempt_does_not_take_the_place_of_the_next_one(record: Record) -> None:
    record.state_for(0, (), 2).put("a", 2)
    record.state_for(0, (), 1).put("a", 1)
    assert record.state_for(0, (), 2).get("a") == 2
    assert len(take_changes(record, 0, (), 2)) == 1


def test_namespace_is_that_of_the_operation_in_its_graph(record: Record) -> None:
    assert record.state_for(0, (), 1).name == "operation:sales%2Feu/load"
    assert record.state_for(1, (4,), 1).name == "operation:sales%2Feu/clean"
    assert operation_namespace("a/b", "c") != operation_namespace("a", "b/c")
    assert operation_namespace("a%2Fb", "c") != operation_namespace("a/b", "c")
    assert operation_namespace("g", "\udc80\0").isprintable()


def test_runs_that_never_use_state_keep_nothing() -> None:
    record = Record.__new__(Record)
    record.overlays = None
    record.drop_state(0)
    assert take_changes(record, 0, (), 1) == ()
