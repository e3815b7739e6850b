"""The customers: they call the API like real clients, and record the answers."""

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
from tools.demo.evidence import Evidence
from tools.demo.orders_file import CustomerOrder, body_of

CUSTOMERS = "Customer"
"""The authorizer that accepts the tokens of customers."""

RETURN_REASON = "not_as_described"
_TRIES = 5
_FIRST_PAUSE_S = 0.2
_TOKEN_S = 1800.0
"""Seconds after which a customer signs in again. A token expires after an hour."""
_VIEWED = 5
"""The number of items that a customer views."""
# Characters that a header can contain. All others are percent-encoded.
_PLAIN = "".join(sorted(set(string.punctuation + " ") - {"%"}))
_ADDRESS_FIELDS = {Channel.EMAIL: "address", Channel.SMS: "phone", Channel.WEBHOOK: "url"}


@dataclass(frozen=True)
class ApiAnswer:
    """An answer of the API at virtual `time` (epoch seconds). `code` names a problem."""

    time: float
    customer_id: str
    request: str
    order_id: str
    status: int
    code: str | None
    body: str = ""


@dataclass
class Journal:
    """All answers and their results. Order ids are the shop's."""

    answers: list[ApiAnswer] = field(default_factory=list)
    known: Evidence = field(default_factory=Evidence)
    """The customers' knowledge about orders, returns, preferences and activity."""
    refused: dict[str, str] = field(default_factory=dict)
    """Orders that the API did not accept, with the reason."""
    repeated: Counter[str] = field(default_factory=Counter)
    """Repeated requests with the key of an order, by result."""
    access_attempts: int = 0
    """Requests of others for a customer's order, and forged ones. The API must refuse them."""
    breaches: list[str] = field(default_factory=list)
    """Such requests that were not refused."""

    def record_placement(self, answer: ApiAnswer) -> bool:
        """Records the answer to an order. Returns whether the order is accepted now."""
        order_id, status = answer.order_id, answer.status
        reason = answer.code or f"http_{status}"
        if status < 400:
            if order_id in self.known.accepted:
                self.repeated["same_answer"] += 1
            self.known.accepted.add(order_id)
            self.refused.pop(order_id, None)
            self.known.unanswered.discard(order_id)
            return True
        if order_id in self.known.accepted or order_id in self.refused:
            self.repeated[reason] += 1
        else:
            self.refused[order_id] = reason
            if no_answer(status):
                self.known.unanswered.add(order_id)
        return False

    def record_access(self, what: str, *, refused: bool) -> None:
        """Records an attempt that the API must refuse."""
        self.access_attempts += 1
        if not refused:
            self.breaches.append(what)


def no_answer(status: int) -> bool:
    """Whether an HTTP status leaves open what became of the request, so that clients repeat it."""
    return status >= 500 or status == 429


def preferences_body(addresses: Mapping[Channel, str], **options: object) -> dict[str, object]:
    """Returns the body of the request that sets a customer's addresses by channel."""
    return {
        channel.value: {_ADDRESS_FIELDS[channel]: address, **options}
        for channel, address in addresses.items()
    }


class Customers:
    """Sends requests with each customer's token, within processes of the rehearsal."""

    def __init__(
        self,
        shop: Rehearsal,
        journal: Journal,
        *,
        seed: int,
        on_answer: Callable[[ApiAnswer], None] | None = None,
    ) -> None:
        self.shop = shop
        self.journal = journal
        self._random = Random(seed)
        self._on_answer = on_answer
        self._tokens: dict[str, tuple[str, float]] = {}
        """Tokens with the times at which they were issued, by customer."""

    def place(self, order: CustomerOrder) -> bool:
        """Sends an order. Returns whether the shop accepted it, now or earlier."""
        order_id = shop_id_of(order)
        answer = self._ask(
            "POST",
            "/orders",
            order.customer_id,
            order_id,
            headers={"Idempotency-Key": key_of(order)},
            body=body_of(order),
        )
        return self.journal.record_placement(answer)

    def status(self, order: CustomerOrder) -> str | None:
        """Returns the status of an order, or None if the API does not return it."""
        order_id = shop_id_of(order)
        response = self._send("GET", f"/orders/{order_id}", order.customer_id)
        return str(response.json()["status"]) if response.status == 200 else None

    def cancel(self, order: CustomerOrder) -> bool:
        """Requests a cancellation. Returns whether the order is cancelled now."""
        order_id = shop_id_of(order)
        answer = self._ask("DELETE", f"/orders/{order_id}", order.customer_id, order_id)
        if answer.status == 200:
            self.journal.known.cancelled.add(order_id)
        return answer.status == 200

    def prefer(self, customer_id: str, addresses: Mapping[Channel, str]) -> None:
        """Sets a customer's addresses by channel."""
        body = preferences_body(addresses)
        if self._send("PUT", "/preferences", customer_id, body=body).status == 200:
            self.journal.known.preferences[customer_id] = addresses

    def browse(self, order: CustomerOrder) -> None:
        """Views the first items of an order, and puts them into the cart."""
        activities: list[dict[str, Any]] = [
            {
                "activity_id": f"{shop_id_of(order)}-{kind}-{number}",
                "kind": kind,
                "sku": line.sku,
                "unit_price_minor": line.unit_price_minor,
                "currency": order.currency,
                **({"quantity": line.quantity} if kind == "added_to_cart" else {}),
            }
            for number, line in enumerate(order.lines[:_VIEWED])
            for kind in ("viewed", "added_to_cart")
        ]
        body = {"activities": activities}
        if self._send("POST", "/activity", order.customer_id, body=body).status == 202:
            for each in activities:
                self.journal.known.activity[each["kind"], each["sku"]] += each.get("quantity", 1)

    def give_back(self, order: CustomerOrder) -> None:
        """Requests the return of a delivered order."""
        order_id, path = shop_id_of(order), f"/orders/{shop_id_of(order)}/returns"
        body = {"reason": RETURN_REASON}
        if self._ask("POST", path, order.customer_id, order_id, body=body).status == 202:
            self.journal.known.return_requests.add(order_id)

    def try_access(self, order: CustomerOrder, *, caller: str | None) -> None:
        """Requests and cancels an order as another customer, or without a token."""
        order_id = shop_id_of(order)
        for method in ("GET", "DELETE"):
            answer = self._ask(method, f"/orders/{order_id}", caller, order_id)
            self.journal.record_access(
                f"{method} of order {order_id} by {caller or 'nobody'}: {answer.status}",
                refused=answer.status == (401 if caller is None else 404),
            )

    def _ask(
        self, method: str, path: str, caller: str | None, order_id: str, **request: Any
    ) -> ApiAnswer:
        response = self._send(method, path, caller, **request)
        code = None
        if response.status >= 400:
            code = _problem(response.body).get("code")
        asked = f"{method} return" if path.endswith("/returns") else method
        answer = ApiAnswer(
            self.shop.clock.now(),
            caller or "nobody",
            asked,
            order_id,
            response.status,
            code,
            response.body,
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
        """Sends a request. Retries it with exponential backoff and jitter if there is no answer."""
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
        now = self.shop.clock.now()
        token, issued = self._tokens.get(customer_id, ("", 0.0))
        if now - issued > _TOKEN_S:
            token = self.shop.token(customer_id, authorizer=CUSTOMERS)
            self._tokens[customer_id] = (token, now)
        return token


def key_of(order: CustomerOrder) -> str:
    """Returns the Idempotency-Key of an order: its id, percent-encoded.

    If that is longer than MAX_KEY_LENGTH, the key is its SHA-256.
    """
    key = quote(order.order_id, safe=_PLAIN)
    return key if len(key) <= MAX_KEY_LENGTH else sha256(key.encode()).hexdigest()


def shop_id_of(order: CustomerOrder) -> str:
    """Returns the shop's id of an order."""
    return order_id_for(order.customer_id, key_of(order))


def _problem(body: object) -> dict[str, Any]:
    """Returns the problem document in an answer, or an empty one."""
    try:
        problem = json.loads(str(body))
    except ValueError:
        return {}
    return problem if isinstance(problem, dict) else {}
