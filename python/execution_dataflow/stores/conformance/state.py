"""Persistent state: values, versions, compare-and-set."""

from __future__ import annotations

from collections.abc import Callable

from execution_dataflow.store_errors import StateConflictError
from execution_dataflow.stores.conformance.opened import (
    Checks,
    JournalCheck,
    equal,
    new_name,
    opened,
    refused,
    together,
)
from execution_dataflow.stores.journal import Journal, StateChange, StateValue

__all__ = ["CHECKS"]

CHECKS: Checks[JournalCheck] = Checks()


@CHECKS
def state_is_kept(open_journal: Callable[[], Journal]) -> None:
    """Across connections; each namespace for itself; an empty value is one."""
    space, other = new_name("space"), new_name("space")
    values = {"a": b"1", "": b"the empty key", "größe": bytes(range(256)), "b/c": b""}
    with opened(open_journal) as journal:
        equal(journal.read_state(space, "a"), None, "a value that does not exist")
        journal.change_state([StateChange(space, key, value) for key, value in values.items()])
        journal.change_state([StateChange(other, "a", b"2")])
    with opened(open_journal) as journal:
        for key, value in values.items():
            equal(journal.read_state(space, key), StateValue(value, 1), f"the value of {key!r}")
        equal(journal.read_state(other, "a"), StateValue(b"2", 1), "the value in the other namespace")


@CHECKS
def state_versions_count_changes(open_journal: Callable[[], Journal]) -> None:
    """From 1; and a value that is created anew has a version that none had before."""
    space = new_name("space")
    with opened(open_journal) as journal:
        seen: set[int] = set()
        for expected in (1, 2, 3):
            journal.change_state([StateChange(space, "a", b"same")])
            found = journal.read_state(space, "a")
            equal(found, StateValue(b"same", expected), "the value")
            seen.add(expected)
        for _ in range(3):
            journal.change_state([StateChange(space, "a", None)])
            equal(journal.read_state(space, "a"), None, "a deleted value")
            journal.change_state([StateChange(space, "a", None), StateChange(space, "a", b"new", expected=0)])
            found = journal.read_state(space, "a")
            assert found is not None, "a value that was created anew is not there"
            equal(found.version in seen, False, f"version {found.version} was had before")
            seen.add(found.version)


@CHECKS
def state_changes_expect_versions(open_journal: Callable[[], Journal]) -> None:
    """0 for none; a change that does not find its version changes nothing."""
    space = new_name("space")

    def change(value: bytes | None, expected: int | None) -> None:
        journal.change_state([StateChange(space, "a", value, expected)])

    with opened(open_journal) as journal:
        refused(StateConflictError, lambda: change(b"1", 1), "a version of a value that does not exist")
        refused(StateConflictError, lambda: change(None, 1), "deleting a version that does not exist")
        change(b"1", 0)
        refused(StateConflictError, lambda: change(b"2", 0), "creating what exists")
        change(b"2", 1)
        error = refused(StateConflictError, lambda: change(b"3", 1), "a version of before")
        equal((error.namespace, error.key), (space, "a"), "what the error names")
        refused(StateConflictError, lambda: change(None, 1), "deleting a version of before")
        equal(journal.read_state(space, "a"), StateValue(b"2", 2), "the value")
        change(None, 2)
        refused(StateConflictError, lambda: change(b"3", 2), "a version of a deleted value")
        change(None, 0)
        change(b"3", 0)
        found = journal.read_state(space, "a")
        equal(found.value if found else None, b"3", "the value that was created anew")


@CHECKS
def state_changes_are_made_one_after_the_other(open_journal: Callable[[], Journal]) -> None:
    """An earlier one of the same call counts for what a later one expects; all of them or none."""
    space = new_name("space")
    with opened(open_journal) as journal:
        journal.change_state([StateChange(space, "a", b"1", 0), StateChange(space, "a", b"2", 1)])
        equal(journal.read_state(space, "a"), StateValue(b"2", 2), "the value after two changes")
        changes = [StateChange(space, "a", b"3", 2), StateChange(space, "b", b"1"), StateChange(space, "a", b"4", 2)]
        refused(StateConflictError, lambda: journal.change_state(changes), "a version that an earlier change took")
        equal(journal.read_state(space, "a"), StateValue(b"2", 2), "the value after a conflict")
        equal(journal.read_state(space, "b"), None, "another value after a conflict")
        journal.change_state([])


@CHECKS
def state_counts_exactly_under_contention(open_journal: Callable[[], Journal]) -> None:
    """Compare-and-set from many threads and two connections loses nothing."""
    space, each, threads = new_name("space"), 5, 6

    def count(journal: Journal) -> None:
        done = 0
        while done < each:
            found = journal.read_state(space, "count") or StateValue(b"0", 0)
            value = str(int(found.value) + 1).encode()
            try:
                journal.change_state([StateChange(space, "count", value, found.version)])
            except StateConflictError:
                continue
            done += 1

    with opened(open_journal) as journal, opened(open_journal) as other:
        raised = together([lambda one=one: count(one) for one in (journal, other) * (threads // 2)])  # type: ignore[misc]
        equal(raised, [], "what counting raised")
        expected = StateValue(str(each * threads).encode(), each * threads)
        equal(journal.read_state(space, "count"), expected, "the count")


@CHECKS
def state_keys_are_sorted(open_journal: Callable[[], Journal]) -> None:
    """By code points; deleted ones are not among them, nor is a prefix a pattern."""
    space = new_name("space")
    keys = ["", "B", "a", "a%", "a%1", "a/1", "a/10", "a/2", "a_", "ab", "z", "ä", "名"]
    with opened(open_journal) as journal:
        journal.change_state([StateChange(space, key, b"") for key in reversed(keys)])
        journal.change_state([StateChange(space, "ab", None), StateChange(new_name("space"), "a", b"")])
        there = [key for key in keys if key != "ab"]
        equal(list(journal.state_keys(space)), there, "all keys")
        for prefix in ("a", "a/", "a%", "a_", "A", "ä", "zz"):
            expected = [key for key in there if key.startswith(prefix)]
            equal(list(journal.state_keys(space, prefix)), expected, f"the keys that begin with {prefix!r}")
        many = [f"n{number:05}" for number in range(1100)]
        journal.change_state([StateChange(space, key, b"") for key in many])
        equal(list(journal.state_keys(space, "n")), many, "many keys")


@CHECKS
def state_namespaces_are_those_with_a_value(open_journal: Callable[[], Journal]) -> None:
    """Sorted; one whose values were all deleted is not among them."""
    prefix = new_name("space")
    with opened(open_journal) as journal:
        names = [f"{prefix}/{end}" for end in ("b", "a", "c")]
        journal.change_state([StateChange(name, "key", b"") for name in names])
        journal.change_state([StateChange(names[2], "key", None)])
        found = [name for name in journal.namespaces() if name.startswith(prefix)]
        equal(found, sorted(names[:2]), "the namespaces")
