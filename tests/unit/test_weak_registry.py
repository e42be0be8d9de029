"""A registry knows the objects that somebody else keeps, and nothing of those that are gone."""

from __future__ import annotations

import gc
import threading
import weakref

import pytest

from execution_dataflow import _core


class Thing:
    pass


def test_it_names_what_is_alive_in_the_order_in_which_it_came() -> None:
    registry: _core.WeakRegistry[Thing] = _core.WeakRegistry()
    things = [Thing() for _ in range(5)]
    for thing in things:
        registry.add(thing)
    del things[2], thing
    assert registry.alive() == things
    things.clear()
    assert registry.alive() == []


def test_it_keeps_nothing_alive_however_much_came_and_went() -> None:
    registry: _core.WeakRegistry[Thing] = _core.WeakRegistry()
    kept: list[Thing] = []
    for number in range(1000):
        thing = Thing()
        registry.add(thing)
        if number % 100 == 0:
            kept.append(thing)
    last = weakref.ref(thing)
    del thing
    assert last() is None
    assert registry.alive() == kept


def test_references_to_what_is_gone_do_not_pile_up() -> None:
    registry: _core.WeakRegistry[Thing] = _core.WeakRegistry()

    def count() -> int:
        return sum(type(thing) is weakref.ref for thing in gc.get_objects())

    before = count()
    for _ in range(10_000):
        registry.add(Thing())
    assert count() - before < 1000


def test_the_end_of_an_object_may_add_another_one() -> None:
    registry: _core.WeakRegistry[object] = _core.WeakRegistry()
    successors: list[Thing] = []

    class Successor:
        def __del__(self) -> None:
            successors.append(Thing())
            registry.add(successors[-1])

    for _ in range(300):
        registry.add(Successor())
    assert registry.alive() == successors
    assert len(successors) == 300


def test_threads_may_add_at_the_same_time() -> None:
    registry: _core.WeakRegistry[Thing] = _core.WeakRegistry()
    things = [[Thing() for _ in range(2000)] for _ in range(4)]

    def add(mine: list[Thing]) -> None:
        for thing in mine:
            registry.add(thing)
            registry.add(Thing())

    threads = [threading.Thread(target=add, args=(mine,)) for mine in things]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    alive = registry.alive()
    assert len(alive) == 8000
    assert {id(thing) for thing in alive} == {id(thing) for mine in things for thing in mine}


def test_what_cannot_be_referenced_weakly_is_refused() -> None:
    with pytest.raises(TypeError, match="weak reference"):
        _core.WeakRegistry().add(1)
