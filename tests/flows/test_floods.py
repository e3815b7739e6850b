"""Floods: requests of attackers cost customers no answer, and the shop nearly no call of AWS."""

import pytest

from tests.flows.shop import Shop

CALLBACKS = {
    "/carrier/events": {"x-hmac-signature-v2": f"hmac-sha256-hex={'0' * 64}"},
    "/payments/events": {"stripe-signature": f"t=1767600000,v1={'0' * 64}"},
}
"""The routes for partners, with forged signatures of the right form."""

callbacks = pytest.mark.parametrize(("path", "forged"), CALLBACKS.items())


@callbacks
def test_a_flood_of_a_callback_route_costs_customers_no_answer(
    shop: Shop, path: str, forged: dict[str, str]
) -> None:
    shop.receive({"CALM": 10}, delivery="calm")

    flood = [
        shop.rehearsal.http.request("POST", path, headers=forged, body={"kind": "x"}).status
        for _ in range(2_000)
    ]
    answers = [shop.order({"CALM": 1}, key=f"calm-{number}").status for number in range(10)]

    assert flood.count(429) > 1_600
    assert set(flood) == {401, 429}
    assert answers == [202] * 10


def test_a_flood_of_one_route_does_not_throttle_the_others(shop: Shop) -> None:
    shop.receive({"CALM": 10}, delivery="calm")

    flood = [shop.rehearsal.http.request("GET", "/preferences").status for _ in range(1_000)]

    assert set(flood) == {401, 429}
    assert shop.order({"CALM": 1}, key="calm").status == 202


@callbacks
def test_requests_with_bad_signatures_reach_no_other_service(
    shop: Shop, path: str, forged: dict[str, str]
) -> None:
    shop.settle()
    before = len(list(shop.rehearsal.meter.of("call")))

    for _ in range(20):
        answer = shop.rehearsal.http.request("POST", path, headers=forged, body={"kind": "x"})
        assert answer.status == 401

    calls = list(shop.rehearsal.meter.of("call"))[before:]
    secrets = [call for call in calls if "GetSecretValue" in str(call)]
    assert len(secrets) <= 1
    assert len(calls) == len(secrets)
