"""Keys that services outside know a request by."""

from __future__ import annotations

import uuid

import pytest
from patience import close_in_time

from execution_dataflow import (
    ExecutionContext,
    ExecutionEngine,
    GraphDefinition,
    OutsideRunError,
    RetryPolicy,
    operation,
)
from execution_dataflow.idempotency import idempotency_key


def keys_of(executor: str, run_id: str | None = "2026-11-22", graph_name: str = "billing") -> list[str]:
    """Of two operations, and of three items that fail once."""

    @operation(retry_policy=RetryPolicy(max_attempts=2))
    def charge(order: int, context: ExecutionContext) -> list[str]:
        context.shared.update("keys", lambda keys: [*keys, context.idempotency_key], default=[])
        if context.attempt == 1:
            raise OSError("busy")
        return [context.idempotency_key, context.idempotency_key_for("mail", order)]

    def look(context: ExecutionContext) -> str:
        return context.idempotency_key

    graph = GraphDefinition(graph_name)
    mapped = graph.map(charge, over={"order": [17, 18, 19]})
    first, second = graph.add(look), graph.add(look)
    context = ExecutionContext(run_id)
    engine = ExecutionEngine(max_workers=2, executor=executor)
    try:
        result = engine.run(graph, context, retain="all")
    finally:
        close_in_time(engine.close)
    items = result.get_output(mapped)
    assert sorted(context.shared["keys"]) == sorted([key for key, _ in items] * 2)
    return [*(key for pair in items for key in pair), result.get_output(first), result.get_output(second)]


def test_keys_are_the_same_for_every_attempt_run_and_process_and_no_others() -> None:
    keys = keys_of("thread")
    assert keys == keys_of("process") == keys_of("thread")
    others = [*keys_of("thread", "2026-11-23"), *keys_of("thread", graph_name="orders"), *keys_of("thread", None)]
    assert len({*keys, *others}) == len(keys) + len(others)


def test_key_is_a_uuid_that_stays_what_it_is() -> None:
    """Whoever resumes a run with a later version of the package must not charge twice."""
    key = idempotency_key("2026-11-22", "billing", "charge[17]", ("mail", 5, b"\0"))
    assert key == "c7528c04-ceea-8236-80fa-2a07a3de7327"
    assert str(uuid.UUID(key)) == key
    assert uuid.UUID(key).variant == uuid.RFC_4122


def test_parts_are_told_apart() -> None:
    parts = [(), ("",), ("a", "b"), ("ab",), ("a", "b", ""), (1,), ("1",), (b"1",), (-1,), (11,), (1, 1)]
    assert len({idempotency_key("r", "g", "o", some) for some in parts}) == len(parts)
    assert idempotency_key("r", "g", "o\udc80") != idempotency_key("r", "g", "o")


@pytest.mark.parametrize("part", [None, 1.5, True, ["a"], object()])
def test_parts_that_need_not_be_the_same_next_time_are_refused(part: object) -> None:
    with pytest.raises(TypeError, match=r"a part of an idempotency key is a str, an int or bytes, not .*order\.id"):
        idempotency_key("r", "g", "o", (part,))  # type: ignore[arg-type]


def test_there_is_none_outside_of_a_run() -> None:
    with pytest.raises(OutsideRunError, match=r"context\.idempotency_key was asked for outside of a run"):
        _ = ExecutionContext("r").idempotency_key
    with pytest.raises(OutsideRunError, match=r"context\.idempotency_key_for was"):
        ExecutionContext("r").idempotency_key_for("charge")
