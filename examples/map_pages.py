"""Fetch pages with `graph.map`: four at a time, with retries, and go on without those that never come.

    pip install execution-dataflow
    python map_pages.py

The pages come from a coroutine in this file, so that nothing else is needed.
"""

from __future__ import annotations

import asyncio

from execution_dataflow import (
    ExecutionContext,
    ExecutionEngine,
    GraphDefinition,
    ItemFailure,
    OperationRetrying,
    RetryPolicy,
    operation,
)


@operation
def list_pages(count: int) -> list[str]:
    """Know only now how many pages there are."""
    return [f"page-{number}" for number in range(count)]


@operation(retry_policy=RetryPolicy(max_attempts=3, delay_seconds=0.01, backoff=2))
async def fetch(page: str, context: ExecutionContext) -> str:
    """Stand in for a slow service: some pages come at the second attempt, and one never."""
    await asyncio.sleep(0.01)
    if page == "page-13" or (context.rng().random() < 0.3 and context.attempt == 1):
        raise ConnectionError(f"{page} did not answer")
    return f"the text of {page}"


@operation
def count_words(texts: list[str | ItemFailure]) -> int:
    """Reduce what came."""
    return sum(len(text.split()) for text in texts if not isinstance(text, ItemFailure))


def main() -> None:
    """Run the graph and show what came of it."""
    graph = GraphDefinition("pages")
    pages = graph.add(list_pages, count=20)
    texts = graph.map(fetch, over=pages, max_concurrency=4, on_error="keep")
    words = graph.add(count_words, texts=texts)

    with ExecutionEngine() as engine:
        engine.subscribe(lambda event: print(f"{event.operation} tries again: {event.message}"), OperationRetrying)
        result = engine.run(graph, ExecutionContext(seed=1), retain="all")
    result.raise_if_failed()

    missing = [item for item in result.get_output(texts) if isinstance(item, ItemFailure)]
    print(
        f"{result.get_output(words)} words of {20 - len(missing)} pages; "
        f"{', '.join(str(item.error) for item in missing)}"
    )


if __name__ == "__main__":
    main()
