"""Questions to the shop's database, after the fact: whether it agrees with what the orders are said to have come to."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["contradictions", "outcomes"]

PAID = """
    SELECT coalesce(sum(movements.amount_cents), 0) AS cents,
           count(*) FILTER (WHERE movements.amount_cents > 0) AS charges
    FROM movements JOIN payments ON payments.id = payment_id WHERE order_id = ?
"""


def contradictions(
    ledger: sqlite3.Connection, due_cents: Mapping[str, int], left_in_stock: Mapping[str, int]
) -> Iterator[str]:
    """Compare what should be with what is in the database; yield what does not fit.

    Parameters
    ----------
    ledger : sqlite3.Connection
        The database.
    due_cents : mapping of str to int
        What the customer of each order should have paid in the end: nothing for one that was not fulfilled.
    left_in_stock : mapping of str to int
        What should be left of each article.

    Yields
    ------
    str
        A sentence about a contradiction.
    """

    def count(question: str, *values: object) -> Any:
        return ledger.execute(f"SELECT count(*) FROM {question}", values).fetchone()[0]

    for order, due in due_cents.items():
        paid = ledger.execute(PAID, (order,)).fetchone()
        if paid["cents"] != due:
            yield f"the customer of {order} has paid {paid['cents']} cents, and should have paid {due}"
        if paid["charges"] > 1:
            yield f"the customer of {order} was charged {paid['charges']} times"
        if (shipped := count("shipments WHERE order_id = ?", order)) != (due > 0):
            yield f"{order} was shipped {shipped} times, and should have been {int(due > 0)} times"
    for sku, expected in left_in_stock.items():
        (left,) = ledger.execute("SELECT on_hand FROM stock WHERE sku = ?", (sku,)).fetchone()
        if left != expected:
            yield f"there are {left} of {sku!r} in stock, and should be {expected}"
    if held := count("reservations WHERE state = 'held'"):
        yield f"{held} reservations are held for nobody"
    if open_payments := count("payments WHERE state = 'open'"):
        yield f"{open_payments} payments were left open"
    if taken := count("stations WHERE taken_by IS NOT NULL"):
        yield f"{taken} packing stations were not left"
    if beyond := count("requests WHERE outcome = 'too many'"):
        yield f"{beyond} requests were beyond the limits of the service"
    for fault in ("busy", "lost answer", "slow"):
        if not count("requests WHERE outcome = ?", fault):
            yield f"no request had the fault {fault!r}, so that nothing is proven about it"


def outcomes(ledger: sqlite3.Connection) -> dict[str, int]:
    """Return how many requests had which outcome."""
    return dict(ledger.execute("SELECT outcome, count(*) FROM requests GROUP BY outcome ORDER BY outcome").fetchall())
