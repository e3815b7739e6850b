"""Floods: requests of attackers cost customers no answer, and the shop nearly no call of AWS."""

from tests.flows.shop import Shop

CALLBACK = "/carrier/events"
FORGED = {"orderflow-signature": f"t=1767600000,v1={'0' * 64}"}


def test_a_flood_of_the_callback_route_costs_customers_no_answer(shop: Shop) -> None:
    shop.receive({"CALM": 10}, delivery="calm")

    flood = [
        shop.rehearsal.http.request("POST", CALLBACK, headers=FORGED, body={"kind": "x"}).status
        for _ in range(1_000)
    ]
    answers = [shop.order({"CALM": 1}, key=f"calm-{number}").status for number in range(10)]

    assert flood.count(429) > 800
    assert set(flood) == {401, 429}
    assert answers == [202] * 10


def test_a_flood_of_one_route_does_not_throttle_the_others(shop: Shop) -> None:
    shop.receive({"CALM": 10}, delivery="calm")

    flood = [shop.rehearsal.http.request("GET", "/preferences").status for _ in range(1_000)]

    assert set(flood) == {401, 429}
    assert shop.order({"CALM": 1}, key="calm").status == 202


def test_requests_with_bad_signatures_reach_no_other_service(shop: Shop) -> None:
    shop.settle()
    before = len(list(shop.rehearsal.meter.of("call")))

    for _ in range(20):
        answer = shop.rehearsal.http.request("POST", CALLBACK, headers=FORGED, body={"kind": "x"})
        assert answer.status == 401

    calls = list(shop.rehearsal.meter.of("call"))[before:]
    secrets = [call for call in calls if "GetSecretValue" in str(call)]
    assert len(secrets) <= 1
    assert len(calls) == len(secrets)
