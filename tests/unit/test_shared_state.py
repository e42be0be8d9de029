"""State that operations share in memory: every call is atomic."""

from __future__ import annotations

import threading

import pytest

from execution_dataflow.shared_state import SharedState


def in_threads(count: int, work: object) -> None:
    assert callable(work)
    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_update_from_many_threads_loses_nothing() -> None:
    state = SharedState()

    def add_many() -> None:
        for _ in range(500):
            state.update("total", lambda total: total + 1, default=0)

    in_threads(8, add_many)
    assert state["total"] == 4000


def test_setdefault_from_many_threads_agrees_on_one_value() -> None:
    state = SharedState()
    seen: list[object] = []
    in_threads(8, lambda: seen.append(state.setdefault("lock", object())))
    assert len(set(map(id, seen))) == 1


def test_update_that_raises_changes_nothing() -> None:
    state = SharedState({"rows": 1})
    with pytest.raises(ZeroDivisionError):
        state.update("rows", lambda rows: rows / 0)
    assert state["rows"] == 1


def test_update_may_use_the_state_itself() -> None:
    state = SharedState({"a": 1, "b": 10})
    assert state.update("a", lambda a: a + state["b"]) == 11


def test_update_of_an_absent_key_needs_a_default() -> None:
    state = SharedState()
    with pytest.raises(KeyError, match="no 'rows' to update; give a default"):
        state.update("rows", lambda rows: rows + 1)
    assert "rows" not in state


def test_none_is_a_value() -> None:
    state = SharedState({"rows": None})
    assert state["rows"] is None
    assert state.update("rows", lambda rows: [rows]) == [None]
    assert state.update("other", lambda other: other, default=None) is None
    assert "other" in state


def test_mapping_protocol() -> None:
    state = SharedState({"a": 1})
    state.set("b", 2)
    state["c"] = 3
    del state["a"]
    assert (list(state), len(state), "a" in state, "b" in state) == (["b", "c"], 2, False, True)
    assert state.get("a") is None
    assert state.get("a", 0) == 0
    assert state.pop("b") == 2
    assert state.pop("b", None) is None
    with pytest.raises(KeyError, match="no 'a'"):
        state["a"]
    with pytest.raises(KeyError, match="no 'a' to remove"):
        del state["a"]


def test_snapshot_is_a_copy_of_the_mapping_and_not_of_the_values() -> None:
    rows = [1]
    state = SharedState({"rows": rows})
    snapshot = state.snapshot()
    state["more"] = 1
    assert snapshot == {"rows": [1]}
    assert snapshot["rows"] is rows


def test_initial_contents_are_copied() -> None:
    initial = {"a": 1}
    state = SharedState(initial)
    state["b"] = 2
    assert initial == {"a": 1}


def test_a_key_that_is_no_str_is_refused() -> None:
    with pytest.raises(TypeError, match="a key of shared state is a str, not int"):
        SharedState()[1] = 2  # type: ignore[index]


def test_a_beginning_that_is_no_mapping_is_refused() -> None:
    with pytest.raises(TypeError, match="begins with a mapping, not list"):
        SharedState([1])  # type: ignore[arg-type]


def test_repr_shows_keys_and_no_values() -> None:
    state = SharedState({"token": "hunter2", **{f"key{number}": number for number in range(20)}})
    assert repr(state).startswith("SharedState('token', 'key0',")
    assert repr(state).endswith(", ...)")
    assert "hunter2" not in repr(state)
