"""The sandbox carrier: repeated calls with one key have the effect of one call."""

import msgspec
import pytest

from lambdas.shipping.carrier import Carrier, TooLate, Unavailable
from lambdas.shipping.domain import Report
from lambdas.shipping.sandbox_carrier import Recalled, SandboxCarrier
from tests.shipping.context import Shipping
from tests.support.cloud import Cloud
from tests.support.orders import ADDRESS


@pytest.fixture
def carrier(shipping: Shipping) -> SandboxCarrier:
    return SandboxCarrier(shipping.carrier_table.name)


def request(carrier: Carrier, postal_code: str = "SW1Y") -> str:
    address = msgspec.structs.replace(ADDRESS, postal_code=postal_code)
    return carrier.buy(carrier.open("key", address=address, units=2))


def test_the_first_response_for_a_key_is_repeated(
    carrier: SandboxCarrier, shipping: Shipping
) -> None:
    assert request(carrier) == request(carrier, "FLAKY-9")
    assert shipping.carrier_table.one("parcel")["attempts"] == 2


@pytest.mark.parametrize(
    ("postal_code", "reports"),
    [
        ("SW1Y", ["picked_up", "delivered"]),
        ("LOST", []),
        ("HASTY", ["delivered", "picked_up"]),
        ("STUTTER", ["picked_up", "picked_up", "delivered", "delivered"]),
        ("FLAKY-0", ["picked_up", "delivered"]),
        ("FLAKY-x", ["picked_up", "delivered"]),
    ],
)
def test_the_postal_code_determines_the_reports(
    carrier: SandboxCarrier, shipping: Shipping, postal_code: str, reports: list[str]
) -> None:
    request(carrier, postal_code)
    assert shipping.carrier_table.one("parcel")["reports"] == reports


def test_a_flaky_carrier_accepts_a_later_request(carrier: SandboxCarrier) -> None:
    for _ in range(2):
        with pytest.raises(Unavailable):
            request(carrier, "FLAKY-2")
    assert request(carrier, "FLAKY-2").startswith("SANDBOX-")


@pytest.mark.parametrize("times", [1, 2])
def test_a_recall_before_the_purchase_has_no_effect(
    carrier: SandboxCarrier, shipping: Shipping, times: int
) -> None:
    carrier.open("key", address=ADDRESS, units=2)
    for _ in range(times):
        carrier.recall("key")
    carrier.buy("key")
    assert shipping.carrier_table.one("parcel")["status"] == "accepted"


@pytest.mark.parametrize("times", [1, 2])
def test_a_recalled_parcel_is_not_delivered(
    carrier: SandboxCarrier, shipping: Shipping, times: int
) -> None:
    tracking_id = request(carrier)
    for _ in range(times):
        carrier.recall("key")
    assert request(carrier) == tracking_id
    assert shipping.carrier_table.one("parcel")["status"] == "recalled"
    with pytest.raises(Recalled):
        carrier.hand_over("key")


def test_a_delivered_parcel_is_not_recalled(carrier: SandboxCarrier, shipping: Shipping) -> None:
    request(carrier)
    carrier.hand_over("key")
    carrier.hand_over("key")
    with pytest.raises(TooLate) as caught:
        carrier.recall("key")
    assert caught.value.reached is Report.DELIVERED
    assert shipping.carrier_table.one("parcel")["status"] == "delivered"


def test_two_concurrent_calls_create_one_parcel(carrier: SandboxCarrier, cloud: Cloud) -> None:
    accept = SandboxCarrier._accept
    tracking_ids: list[str] = []

    def interrupted(self: SandboxCarrier, *args: object) -> object:
        cloud.monkeypatch.setattr(SandboxCarrier, "_accept", accept)
        tracking_ids.append(request(carrier))
        return accept(self, *args)  # type: ignore[arg-type]

    cloud.monkeypatch.setattr(SandboxCarrier, "_accept", interrupted)
    with pytest.raises(Unavailable, match="under way"):
        request(carrier)
    assert [request(carrier)] == tracking_ids
