"""Fulfil orders against a service that fails now and then, and undo what was done for those that cannot be fulfilled.

    pip install "execution-dataflow[examples]"
    python business_process.py

The shop is real: an HTTP server with a database of its own, in the folder `order_service`, which this script starts as
a process. It answers with 503 at times, loses answers after it has done everything, rates some customers slowly, and
limits how much it is asked. All orders are runs of one graph, at the same time:

    order -+-> assess -------------------------------+
           +-> reserve -> open_payment -> capture ---+-> ship -> leave_station
                                             +-> take_station -------^

What it shows:

- coroutines on one HTTP client for each run, made and closed through the context; a secret token;
- retries with back-off for what may work the next time, and giving up at once on what never will;
- idempotency keys from the names of run and operation: no retry charges twice, whatever became of the first answer;
- limits of the engine, which keep all runs together below those of the service, and a time limit with a fallback;
- a saga: when a payment is declined or the carrier refuses, what was done is undone, the last step first;
- a packing station that is left whatever happens;
- the events of a run as its audit trail.

At the end the shop's own database is asked: nobody was charged twice, what was undone is undone. Only then the exit
code is 0.
"""

from __future__ import annotations

import asyncio
import secrets
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from execution_dataflow import (
    Event,
    ExecutionContext,
    ExecutionEngine,
    ExecutionResult,
    GraphCompleted,
    GraphDefinition,
    GraphStarted,
    InputPort,
    Operation,
    OperationCompleted,
    OperationFailed,
    OperationFellBack,
    OperationRetrying,
    OperationReverted,
    OperationRevertFailed,
    OutputPort,
    RateLimit,
    RetryPolicy,
    Secret,
    operation,
)
from order_service.audit import contradictions, outcomes
from order_service.ledger import open_ledger, set_up


@dataclass(frozen=True)
class Order:
    """What a customer wants, and where it goes."""

    number: str
    customer: int
    sku: str
    quantity: int
    amount_cents: int
    card: str
    address: str


GOOD_CARD, BAD_CARD = "4000 0000 0000 0077", "4000 0000 0000 0002"
ORDERS = [
    Order("order-1001", 1, "kettle", 1, 49_90, GOOD_CARD, "12 Harbour Road"),
    Order("order-1002", 2, "teapot", 2, 70_00, GOOD_CARD, "3 Mill Lane"),
    Order("order-1003", 3, "kettle", 1, 49_90, GOOD_CARD, "41 Station Street"),
    Order("order-1004", 4, "teapot", 1, 35_00, BAD_CARD, "8 Castle Hill"),
    Order("order-1005", 5, "kettle", 2, 99_80, GOOD_CARD, "27 Church Walk"),
    Order("order-1006", 7, "teapot", 1, 35_00, GOOD_CARD, "the old lighthouse"),
    Order("order-1007", 8, "samovar", 3, 890_00, GOOD_CARD, "5 Orchard Close"),
    Order("order-1008", 9, "samovar", 1, 297_00, BAD_CARD, "60 Quay Street"),
    Order("order-1009", 10, "kettle", 1, 49_90, GOOD_CARD, "19 Bridge End"),
    Order("order-1010", 11, "teapot", 3, 105_00, GOOD_CARD, "2 Abbey Green"),
]
STOCK = {"kettle": 20, "teapot": 20, "samovar": 2}
STATIONS = 3


# ---------------------------------------------------------------- the client


class Unavailable(Exception):
    """The service could not be reached, or had no time: the same request may work the next time."""


class Refused(Exception):
    """The service understood and said no: it would say so again."""


class Shop:
    """The client of the shop: one for each run, made when first asked for and closed when the run ends."""

    def __init__(self, url: str, token: Secret) -> None:
        self.session = aiohttp.ClientSession(
            url,
            headers={"Authorization": f"Bearer {token.reveal()}"},
            timeout=aiohttp.ClientTimeout(total=5),
        )

    async def call(self, method: str, path: str, body: dict[str, Any] | None = None, key: str = "") -> dict[str, Any]:
        """Make one request, and tell what may work the next time from what never will."""
        try:
            async with self.session.request(
                method, path, json=body, headers={"Idempotency-Key": key} if key else {}
            ) as reply:
                answer: dict[str, Any] = await reply.json()
                status = reply.status
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unavailable(f"no answer: {type(error).__name__}") from error
        if status in (429, 503):
            raise Unavailable(f"{status}: {answer['reason']}")
        if status >= 400:
            raise Refused(f"{status}: {answer['reason']}")
        return answer

    async def undo(self, path: str) -> None:
        """Delete, and insist: nobody else tries a revert again."""
        for attempt in range(8):
            try:
                await self.call("DELETE", path)
                return
            except Unavailable:
                await asyncio.sleep(0.02 * 2**attempt)
        await self.call("DELETE", path)

    async def close(self) -> None:
        """Close the connections; the run calls this."""
        await self.session.close()


def shop_of(context: ExecutionContext) -> Shop:
    """Return the client of this run."""
    shop: Shop = context.clients["shop"]
    return shop


# ---------------------------------------------------------------- the steps


def unknown_risk(order: Order) -> str:
    """Stand in for a rating that did not come: the parcel is handed over against a signature."""
    return "unknown"


@operation(
    timeout_seconds=0.25,
    retry_policy=RetryPolicy(max_attempts=3, delay_seconds=0.02, retry_on=(Unavailable, TimeoutError)),
    on_failure=unknown_risk,
    max_concurrency=3,
)
async def assess(order: Order, context: ExecutionContext) -> str:
    """Ask how likely it is that the customer denies having got the parcel."""
    answer = await shop_of(context).call("GET", f"/customers/{order.customer}")
    return str(answer["risk"])


class Step(Operation):
    """A request to the shop that changes something there, once, however often it has to be sent."""

    retry_policy = RetryPolicy(
        max_attempts=8,
        delay_seconds=0.02,
        backoff=2,
        max_delay_seconds=0.3,
        jitter=0.3,
        retry_on=Unavailable,
        give_up_on=Refused,
    )
    tags = ("shop",)
    timeout_seconds = 5.0

    async def post(self, context: ExecutionContext, path: str, **body: Any) -> Any:
        """Send the request, with a key that is the same for every attempt and different from all other requests."""
        return await shop_of(context).call("POST", path, body, key=f"{context.run_id}/{context.operation_name}")


class Reserve(Step):
    """Hold the goods."""

    order = InputPort(Order)
    reservation = OutputPort(int)

    async def execute(self, context: ExecutionContext) -> None:
        order = self.order
        answer = await self.post(context, "/reservations", order=order.number, sku=order.sku, quantity=order.quantity)
        self.reservation = answer["reservation"]

    async def revert(self, context: ExecutionContext) -> None:
        await shop_of(context).undo(f"/reservations/{self.get_output('reservation')}")


class OpenPayment(Step):
    """Announce a payment, which moves nothing yet.

    To undo it gives back what was charged. So a charge of which nobody knows whether it went through, because its
    answer was lost and the run was stopped, is undone as well: what is in doubt is undone by the step before it.
    """

    order = InputPort(Order)
    reservation = InputPort(int)
    payment = OutputPort(int)

    async def execute(self, context: ExecutionContext) -> None:
        order = self.order
        answer = await self.post(context, "/payments", order=order.number, amount_cents=order.amount_cents)
        self.payment = answer["payment"]

    async def revert(self, context: ExecutionContext) -> None:
        await shop_of(context).undo(f"/payments/{self.get_output('payment')}")


class Capture(Step):
    """Charge the card."""

    order = InputPort(Order)
    payment = InputPort(int)
    charged_cents = OutputPort(int)

    async def execute(self, context: ExecutionContext) -> None:
        answer = await self.post(context, f"/captures/{self.payment}", card=self.order.card)
        self.charged_cents = answer["captured_cents"]


class TakeStation(Step):
    """Wait for a packing station."""

    # There are fewer than orders: the wait may be long, and costs nothing.
    retry_policy = RetryPolicy(
        max_attempts=200, delay_seconds=0.05, backoff=1.5, max_delay_seconds=0.3, jitter=0.3, retry_on=Unavailable
    )
    order = InputPort(Order)
    station = OutputPort(int)

    async def execute(self, context: ExecutionContext) -> None:
        answer = await self.post(context, "/stations", order=self.order.number)
        self.station = answer["station"]


class Ship(Step):
    """Pack the goods and hand them to the carrier."""

    order = InputPort(Order)
    reservation = InputPort(int)
    station = InputPort(int)
    charged_cents = InputPort(int)
    risk = InputPort(str)
    tracking = OutputPort(str)

    async def execute(self, context: ExecutionContext) -> None:
        order = self.order
        answer = await self.post(
            context,
            "/shipments",
            order=order.number,
            reservation=self.reservation,
            address=order.address,
            signature=self.risk != "low",
        )
        self.tracking = answer["tracking"]


class LeaveStation(Step):
    """Leave the packing station, whether the parcel was shipped or not."""

    always_run = True
    station = InputPort(int, optional=True)

    async def execute(self, context: ExecutionContext) -> None:
        if self.station is not None:
            await shop_of(context).call("DELETE", f"/stations/{self.station}")


def build_graph() -> GraphDefinition:
    """Connect the steps for one order."""
    graph = GraphDefinition("fulfilment")
    order = graph.parameter("order", Order)
    risk = graph.add(assess, order=order)
    reserved = graph.add(Reserve(name="reserve"), order=order)
    opened = graph.add(OpenPayment(name="open_payment"), order=order, reservation=reserved)
    captured = graph.add(Capture(name="capture"), order=order, payment=opened)
    station = graph.add(TakeStation(name="take_station"), order=order)
    graph.add_dependency(captured, station)
    shipped = graph.add(
        Ship(name="ship"), order=order, reservation=reserved, station=station, charged_cents=captured, risk=risk
    )
    left = graph.add(LeaveStation(name="leave_station"), station=station)
    graph.add_dependency(shipped, left)
    return graph


# ---------------------------------------------------------------- the audit trail


class AuditTrail:
    """Collects what happens to each order, and prints it when the order is done."""

    def __init__(self) -> None:
        self.began: dict[str, float] = {}
        self.lines: defaultdict[str, list[str]] = defaultdict(list)

    def __call__(self, event: Event) -> None:
        """Take an event; the engine calls this on one thread, in the order in which things happened."""
        match event:
            case GraphStarted():
                self.began[event.run_id] = event.time
            case OperationCompleted(operation=name, attempt=attempt):
                self.note(event, f"{name}: done" + (f" at attempt {attempt}" if attempt > 1 else ""))
            case OperationRetrying(operation=name, message=message, delay_seconds=delay):
                self.note(event, f"{name}: tries again in {delay * 1000:.0f} ms, {message}")
            case OperationFellBack(operation=name, fallback=fallback, message=message):
                self.note(event, f"{name}: {fallback} stands in, {message}")
            case OperationFailed(operation=name, message=message):
                self.note(event, f"{name}: FAILED, {message}")
            case OperationReverted(operation=name):
                self.note(event, f"{name}: undone")
            case OperationRevertFailed(operation=name, message=message):
                self.note(event, f"{name}: NOT UNDONE, {message}")
            case GraphCompleted(state=state):
                print(f"{event.run_id} {state.value}", *self.lines.pop(event.run_id), sep="\n")

    def note(self, event: Event, text: str) -> None:
        """Keep a line of the order's trail."""
        self.lines[event.run_id].append(f"  {event.time - self.began[event.run_id]:5.2f} s  {text}")


# ---------------------------------------------------------------- running it


@contextmanager
def running_shop(database: Path, token: Secret) -> Iterator[str]:
    """Start the shop as a process of its own, and stop it at the end; its address."""
    set_up(database, STOCK, STATIONS)
    with subprocess.Popen(
        [sys.executable, "-m", "order_service", str(database)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parent,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        # Not as an argument, which every user of the machine can read.
        process.stdin.write(f"{token.reveal()}\n")
        process.stdin.flush()
        port = process.stdout.readline().strip()
        if not port:
            raise RuntimeError("the shop did not start; what it says is above")
        yield f"http://127.0.0.1:{port}"
        # The end of its input, as the with block closes it, is the end of the process.


def fulfil(url: str, token: Secret) -> list[ExecutionResult]:
    """Run the graph for every order, all at the same time."""
    graph = build_graph()
    limits = {"shop": (4, RateLimit(60, per_seconds=1, burst=5))}
    with (
        ExecutionEngine(max_workers=2, tag_limits=limits, on_failure="revert", deadline_seconds=60) as engine,
        engine.subscribe(AuditTrail()),
    ):
        runs = [
            engine.submit(
                graph,
                ExecutionContext(
                    run_id=order.number,
                    secrets={"token": token},
                    clients={"shop": lambda: Shop(url, token)},
                ),
                parameters={"order": order},
            )
            for order in ORDERS
        ]
        return [run.result() for run in runs]


def main() -> int:
    token = Secret(secrets.token_urlsafe(24))
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "shop.db"
        with running_shop(database, token) as url:
            results = fulfil(url, token)
        fulfilled = [order for order, result in zip(ORDERS, results, strict=True) if result.is_successful()]
        due = {order.number: order.amount_cents if order in fulfilled else 0 for order in ORDERS}
        left = {
            sku: count - sum(order.quantity for order in fulfilled if order.sku == sku) for sku, count in STOCK.items()
        }
        with closing(open_ledger(database)) as ledger:
            found = list(contradictions(ledger, due, left))
            counts = outcomes(ledger)

    print(f"\n{len(fulfilled)} of {len(ORDERS)} orders were fulfilled; what was done for the others was undone")
    print("requests:", ", ".join(f"{count} {outcome}" for outcome, count in counts.items()))
    if found:
        print("the shop's database contradicts this:", *found, sep="\n    ", file=sys.stderr)
        return 1
    print("the shop's database agrees: nobody was charged twice, and what was undone is undone")
    return 0


if __name__ == "__main__":
    sys.exit(main())
