"""The customers: they call the API as real ones would, and note what it answers."""

import json
import string
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from random import Random
from typing import Any
from urllib.parse import quote

from cdk_rehearsal import Rehearsal
from lambdas.eventing.http import MAX_KEY_LENGTH
from lambdas.notifications.events import Channel
from lambdas.orders.domain import order_id_for
from tools.demo.orders_file import Order, body_of

_TRIES = 5
_FIRST_PAUSE_S = 0.2
_LOOKED_AT = 5
# What stands in a header as it is; the rest is percent-encoded, since headers take ASCII only.
_PLAIN = "".join(sorted(set(string.punctuation + " ") - {"%"}))


@dataclass(frozen=True)
class Answer:
    """What the API said at virtual `time` (epoch seconds); `code` names a problem."""

    time: float
    customer_id: str
    request: str
    order_id: str
    status: int
    code: str | None


@dataclass
class Journal:
    """All answers, and what they come to. Order ids are the shop's."""

    answers: list[Answer] = field(default_factory=list)
    accepted: set[str] = field(default_factory=set)
    cancelled: set[str] = field(default_factory=set)
    refused: dict[str, str] = field(default_factory=dict)
    """Orders that the API did not take, and why."""
    unanswered: set[str] = field(default_factory=set)
    """Those among them that it may have taken all the same, since it gave no proper answer."""
    repeated: Counter[str] = field(default_factory=Counter)
    """Further requests with the key of an order that is known, by what came of them."""
    looks: int = 0
    """Requests for an order from somebody else than its customer: they have to be refused."""
    breaches: list[str] = field(default_factory=list)
    """Such requests that were not refused."""
    preferences: dict[str, Mapping[Channel, str]] = field(default_factory=dict)
    """Where each customer wants to be told, by channel."""
    activity: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Views, and units put into carts, by kind and SKU."""
    returns: set[str] = field(default_factory=set)
    """Orders that their customers want to give back, and the shop took that down."""

    def placed(self, answer: Answer) -> bool:
        """Notes the answer to a request to place an order; True if the order stands then."""
        order_id, status = answer.order_id, answer.status
        reason = answer.code or f"http_{status}"
        if status < 400:
            if order_id in self.accepted:
                self.repeated["same_answer"] += 1
            self.accepted.add(order_id)
            self.refused.pop(order_id, None)
            self.unanswered.discard(order_id)
            return True
        if order_id in self.accepted or order_id in self.refused:
            self.repeated[reason] += 1
        else:
            self.refused[order_id] = reason
            if no_answer(status):
                self.unanswered.add(order_id)
        return False


def no_answer(status: int) -> bool:
    """Whether an HTTP status says to try again, and nothing of what became of the request."""
    return status >= 500 or status == 429


class Customers:
    """Makes requests with each customer's own token. To be used in processes of the rehearsal."""

    def __init__(
        self,
        shop: Rehearsal,
        journal: Journal,
        *,
        seed: int,
        on_answer: Callable[[Answer], None] | None = None,
    ) -> None:
        self.shop = shop
        self.journal = journal
        self._random = Random(seed)
        self._on_answer = on_answer
        self._tokens: dict[str, str] = {}

    def place(self, order: Order) -> bool:
        """Sends an order; True if the shop took it, now or when it was sent before."""
        order_id = shop_id_of(order)
        answer = self._ask(
            "POST",
            "/orders",
            order.customer_id,
            order_id,
            headers={"Idempotency-Key": key_of(order)},
            body=body_of(order),
        )
        return self.journal.placed(answer)

    def status(self, order: Order) -> str | None:
        """Where the customer's order stands; None if the API does not say."""
        order_id = shop_id_of(order)
        response = self._send("GET", f"/orders/{order_id}", order.customer_id)
        return str(response.json()["status"]) if response.status == 200 else None

    def cancel(self, order: Order) -> bool:
        """Asks to cancel the order; True if it is cancelled then."""
        order_id = shop_id_of(order)
        answer = self._ask("DELETE", f"/orders/{order_id}", order.customer_id, order_id)
        if answer.status == 200:
            self.journal.cancelled.add(order_id)
        return answer.status == 200

    def prefer(self, customer_id: str, wishes: Mapping[Channel, str]) -> None:
        """Says how the customer wants to be told."""
        fields = {Channel.EMAIL: "address", Channel.SMS: "phone", Channel.WEBHOOK: "url"}
        body = {channel.value: {fields[channel]: wishes[channel]} for channel in wishes}
        if self._send("PUT", "/preferences", customer_id, body=body).status == 200:
            self.journal.preferences[customer_id] = wishes

    def browse(self, order: Order) -> None:
        """Looks at the first items of what will be an order, and puts them into the cart."""
        acts: list[dict[str, Any]] = [
            {
                "activity_id": f"{shop_id_of(order)}-{kind}-{number}",
                "kind": kind,
                "sku": line.sku,
                "unit_price_minor": line.unit_price_minor,
                "currency": order.currency,
                **({"quantity": line.quantity} if kind == "added_to_cart" else {}),
            }
            for number, line in enumerate(order.lines[:_LOOKED_AT])
            for kind in ("viewed", "added_to_cart")
        ]
        body = {"activities": acts}
        if self._send("POST", "/activity", order.customer_id, body=body).status == 202:
            for act in acts:
                self.journal.activity[str(act["kind"]), str(act["sku"])] += act.get("quantity", 1)

    def give_back(self, order: Order) -> None:
        """Asks to give a delivered order back."""
        order_id = shop_id_of(order)
        body = {"reason": "it is not what I thought"}
        answer = self._ask(
            "POST", f"/orders/{order_id}/returns", order.customer_id, order_id, body=body
        )
        if answer.status == 202:
            self.journal.returns.add(order_id)

    def pry(self, order: Order, *, caller: str | None) -> None:
        """Looks at an order and tries to cancel it, as somebody else or as nobody."""
        order_id = shop_id_of(order)
        for method in ("GET", "DELETE"):
            answer = self._ask(method, f"/orders/{order_id}", caller, order_id)
            self.journal.looks += 1
            if answer.status != (401 if caller is None else 404):
                self.journal.breaches.append(
                    f"{method} of order {order_id} by {caller or 'nobody'}: {answer.status}"
                )

    def _ask(
        self, method: str, path: str, caller: str | None, order_id: str, **request: Any
    ) -> Answer:
        response = self._send(method, path, caller, **request)
        code = None
        if response.status >= 400:
            code = _problem(response.body).get("code")
        asked = f"{method} return" if path.endswith("/returns") else method
        answer = Answer(
            self.shop.clock.now(), caller or "nobody", asked, order_id, response.status, code
        )
        self.journal.answers.append(answer)
        if self._on_answer:
            self._on_answer(answer)
        return answer

    def _send(
        self,
        method: str,
        path: str,
        caller: str | None,
        headers: Mapping[str, str] | None = None,
        body: Mapping[str, object] | None = None,
    ) -> Any:
        """Asks again, as a good client does, after growing pauses when the shop cannot answer."""
        headers = dict(headers or {})
        if caller is not None:
            headers["Authorization"] = f"Bearer {self._token(caller)}"
        for attempt in range(_TRIES):
            response = self.shop.http.request(method, path, headers=headers, body=body)
            if not no_answer(response.status):
                break
            self.shop.scheduler.sleep(self._random.uniform(0, _FIRST_PAUSE_S * 2**attempt))
        return response

    def _token(self, customer_id: str) -> str:
        if customer_id not in self._tokens:
            self._tokens[customer_id] = self.shop.token(customer_id)
        return self._tokens[customer_id]


def key_of(order: Order) -> str:
    """Return the Idempotency-Key of a customer's order: its id, percent-encoded.

    Encoding can make a short id longer than MAX_KEY_LENGTH. Then the key is a SHA-256 of it.
    """
    key = quote(order.order_id, safe=_PLAIN)
    return key if len(key) <= MAX_KEY_LENGTH else sha256(key.encode()).hexdigest()


def shop_id_of(order: Order) -> str:
    """The id that the shop gives to a customer's order."""
    return order_id_for(order.customer_id, key_of(order))


def _problem(body: object) -> dict[str, Any]:
    """The problem document in an answer, or nothing if it holds none."""
    try:
        problem = json.loads(str(body))
    except ValueError:
        return {}
    return problem if isinstance(problem, dict) else {}
