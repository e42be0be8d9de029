"""What the shop does when it is asked: one function for each request, inside of one transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

__all__ = ["ROUTES", "Refusal"]

Body = dict[str, Any]


class Refusal(Exception):
    """A request that is understood and refused, with its HTTP status."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


def reserve(ledger: sqlite3.Connection, number: int, body: Body) -> Body:
    """Hold goods for an order."""
    taken = ledger.execute(
        "UPDATE stock SET on_hand = on_hand - :quantity WHERE sku = :sku AND on_hand >= :quantity", body
    )
    if taken.rowcount == 0:
        raise Refusal(409, f"there are not {body['quantity']} of {body['sku']!r} in stock")
    made = ledger.execute("INSERT INTO reservations (order_id, sku, quantity) VALUES (:order, :sku, :quantity)", body)
    return {"reservation": made.lastrowid}


def release(ledger: sqlite3.Connection, number: int, body: Body) -> Body:
    """Put held goods back into stock; a second time changes nothing."""
    freed = ledger.execute(
        "UPDATE reservations SET state = 'released' WHERE id = ? AND state = 'held' RETURNING sku, quantity", (number,)
    ).fetchone()
    if freed is not None:
        ledger.execute("UPDATE stock SET on_hand = on_hand + ? WHERE sku = ?", (freed["quantity"], freed["sku"]))
    return {"released": freed is not None}


def take_station(ledger: sqlite3.Connection, number: int, body: Body) -> Body:
    """Give an order a packing station, if one is free."""
    taken = ledger.execute(
        "UPDATE stations SET taken_by = :order WHERE id = (SELECT min(id) FROM stations WHERE taken_by IS NULL)"
        " RETURNING id",
        body,
    ).fetchone()
    if taken is None:
        raise Refusal(503, "all packing stations are taken")
    return {"station": taken["id"]}


def leave_station(ledger: sqlite3.Connection, number: int, body: Body) -> Body:
    """Free a packing station."""
    freed = ledger.execute("UPDATE stations SET taken_by = NULL WHERE id = ? AND taken_by IS NOT NULL", (number,))
    return {"left": freed.rowcount == 1}


def open_payment(ledger: sqlite3.Connection, number: int, body: Body) -> Body:
    """Make a payment that moves nothing yet."""
    made = ledger.execute("INSERT INTO payments (order_id, amount_cents) VALUES (:order, :amount_cents)", body)
    return {"payment": made.lastrowid}


def capture(ledger: sqlite3.Connection, number: int, body: Body) -> Body:
    """Charge an open payment to a card."""
    payment = ledger.execute("SELECT amount_cents, state FROM payments WHERE id = ?", (number,)).fetchone()
    if payment is None or payment["state"] == "cancelled":
        raise Refusal(409, f"payment {number} cannot be captured")
    if body["card"].endswith("0002"):
        raise Refusal(402, "the card was declined")
    # A provider that does not look whether it has charged already: what keeps it from charging twice is the key.
    ledger.execute("UPDATE payments SET state = 'captured' WHERE id = ?", (number,))
    ledger.execute("INSERT INTO movements (payment_id, amount_cents) VALUES (?, ?)", (number, payment["amount_cents"]))
    return {"captured_cents": payment["amount_cents"]}


def cancel_payment(ledger: sqlite3.Connection, number: int, body: Body) -> Body:
    """Cancel a payment, and give back what was charged."""
    ledger.execute("UPDATE payments SET state = 'cancelled' WHERE id = ?", (number,))
    charged = ledger.execute("SELECT coalesce(sum(amount_cents), 0) FROM movements WHERE payment_id = ?", (number,))
    refund: int = charged.fetchone()[0]
    if refund:
        ledger.execute("INSERT INTO movements (payment_id, amount_cents) VALUES (?, ?)", (number, -refund))
    return {"refunded_cents": refund}


def ship(ledger: sqlite3.Connection, number: int, body: Body) -> Body:
    """Hand a parcel to the carrier, who refuses addresses without a number."""
    if not any(letter.isdigit() for letter in body["address"]):
        raise Refusal(422, f"the carrier does not know the address {body['address']!r}")
    shipped = ledger.execute(
        "UPDATE reservations SET state = 'shipped' WHERE id = :reservation AND state = 'held'", body
    )
    if shipped.rowcount == 0:
        raise Refusal(409, f"nothing is held under reservation {body['reservation']}")
    made = ledger.execute(
        "INSERT INTO shipments (order_id, tracking, signature)"
        " VALUES (:order, 'XD' || (480000 + :reservation), :signature) RETURNING tracking",
        body,
    ).fetchone()
    return {"tracking": made["tracking"]}


def risk(ledger: sqlite3.Connection, number: int, body: Body) -> Body:
    """Rate a customer."""
    return {"risk": "high" if number % 5 == 0 else "low"}


Handler = Callable[[sqlite3.Connection, int, Body], Body]
ROUTES: dict[tuple[str, str], Handler] = {
    ("GET", "customers"): risk,
    ("POST", "reservations"): reserve,
    ("DELETE", "reservations"): release,
    ("POST", "stations"): take_station,
    ("DELETE", "stations"): leave_station,
    ("POST", "payments"): open_payment,
    ("POST", "captures"): capture,
    ("DELETE", "payments"): cancel_payment,
    ("POST", "shipments"): ship,
}
