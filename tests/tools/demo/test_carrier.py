"""The simulated carrier repeats what the shop has no time for."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from cdk_rehearsal import Rehearsal
from tools.demo import carrier
from tools.demo.carrier import SimulatedCarrier


class Door:
    """A shop that answers callbacks with given statuses, and then accepts or refuses them."""

    def __init__(self, *first: int) -> None:
        self.first = [*first]
        self.slept: list[float] = []
        self.shop = cast(
            Rehearsal, SimpleNamespace(scheduler=SimpleNamespace(sleep=self.slept.append))
        )

    def answer(self, shop: Rehearsal, body: str, secret: str) -> Any:
        """Stands for `send_callback`."""
        judged = 401 if secret == "a guess" else 200
        return SimpleNamespace(status=self.first.pop(0) if self.first else judged)


def at(door: Door, monkeypatch: pytest.MonkeyPatch) -> SimulatedCarrier:
    ledger = SimpleNamespace(
        way=lambda _: ["delivered"], parcel_id=lambda _: "p", move=lambda *_: True
    )
    monkeypatch.setattr(carrier, "ledger_of", lambda _: ledger)
    monkeypatch.setattr(carrier, "carrier_secret", lambda _: "secret")
    monkeypatch.setattr(carrier, "send_callback", door.answer)
    return SimulatedCarrier(door.shop, seed=1)


def test_a_throttled_callback_is_repeated_with_growing_pauses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    door = Door(429, 500, 429)
    at(door, monkeypatch)._carry("order", "tracking")
    assert door.first == []
    assert door.slept[1:] == [1.0, 2.0, 4.0]


def test_the_carrier_gives_up_after_half_an_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    door = Door(*[429] * 100)
    at(door, monkeypatch)._carry("order", "tracking")
    assert len(door.first) == 88
    assert 1800 < sum(door.slept) < 3600


def test_a_forged_callback_is_repeated_until_it_is_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    door = Door(429, 429)
    careless = at(door, monkeypatch)
    careless._forge("order", "parcel", "tracking")
    assert (careless.forged, careless.accepted_forgeries) == (1, [])
    assert len(door.slept) == 2


@pytest.mark.parametrize("status", [200, 500])
def test_a_forged_callback_that_is_not_refused_is_a_breach(
    status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    careless = at(Door(status), monkeypatch)
    careless._forge("order", "parcel", "tracking")
    assert careless.accepted_forgeries == [f"forged callback about order order: {status}"]
