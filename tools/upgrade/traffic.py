"""What customers, carrier, staff and suppliers do while releases change: no faults, but retries."""

from collections.abc import Iterator
from random import Random

from lambdas.orders.domain import order_id_for
from tools.demo.staff import require
from tools.faults.actions import TOKENS, Action, ActionSequence
from tools.faults.scenarios import CUP, CUSTOMER, MUG
from tools.faults.shop import RehearsedShop

_WEIGHTS = {
    "order": 30,
    "repeat": 15,
    "look": 10,
    "cancel": 6,
    "cancel_late": 3,
    "deliver": 25,
    "give_back": 12,
    "decide": 12,
    "supply": 2,
    "erase": 2,
    "browse": 3,
    "wait": 12,
}
"""The weight of each action."""
_PAUSE_MINUTES = 90
"""Longer than an order may wait for its checkout, with all deliveries of a queue."""
_STEP_S = (1, 5, 20)
"""Options of the action `wait`, in virtual seconds."""


class Traffic(ActionSequence):
    """Performs actions. Clients repeat requests, as they may, and look at their orders."""

    def __init__(self, shop: RehearsedShop) -> None:
        super().__init__(shop, faults=())
        self._placed: dict[str, int] = {}

    @property
    def known(self) -> frozenset[str]:
        """The names of the actions."""
        return frozenset(_WEIGHTS)

    def finish(self) -> None:
        """Completes deliveries and returns. Nothing is recovered: what is parked stays parked."""
        self.shop.pass_time(minutes=_PAUSE_MINUTES)
        # A return is decided after its parcel has come.
        for _ in range(2):
            for number, order_id in enumerate(self.orders):
                self.perform(Action("deliver", number))
                if self.shop.returned(order_id) == "awaiting":
                    self.perform(Action("decide", number, 1))
            self.shop.pass_time(minutes=_PAUSE_MINUTES)
        # The last executions may wait for so long that outboxes delete their events.
        self.shop.keep_committed()
        self.shop.settle()

    def _order(self, number: int, option: int) -> None:
        order_id = order_id_for(CUSTOMER, _key(len(self.orders)))
        self._placed[order_id] = number
        self.orders.append(order_id)
        self._post(len(self.orders) - 1, number)

    def _repeat(self, number: int, option: int) -> None:
        """Sends an order again, as a client does that has got no answer."""
        if order_id := self._id(number):
            self._post(self.orders.index(order_id), self._placed[order_id])

    def _post(self, position: int, number: int) -> None:
        lines = {MUG: 1 + number % 2} | ({CUP: 1} if number % 3 == 0 else {})
        token = TOKENS[number % len(TOKENS)]
        answer = self.shop.order(lines, key=_key(position), token=token)
        placed = require(answer, 202).json()["order_id"]
        if placed != self.orders[position]:
            raise AssertionError(f"the key of {self.orders[position]} has placed {placed}")

    def _look(self, number: int, option: int) -> None:
        if order_id := self._id(number):
            self.shop.view(order_id)

    def _wait(self, number: int, option: int) -> None:
        self.shop.pass_time(seconds=_STEP_S[option % len(_STEP_S)])


def _key(position: int) -> str:
    return f"upgrade-{position}"


def actions(seed: int) -> Iterator[Action]:
    """Yields actions without end; the same ones for the same seed."""
    random = Random(seed)
    placed = 0
    while True:
        (name,) = random.choices(tuple(_WEIGHTS), tuple(_WEIGHTS.values()))
        # Most actions are about recent orders.
        recent = max(0, placed - random.randrange(1, 6))
        number = random.randrange(1 << 20) if name in ("order", "browse") else recent
        yield Action(name, number, random.randrange(1 << 10))
        placed += name == "order"
