"""EasyPost: a label is bought at most once, whatever happens, and errors have meanings."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import msgspec
import pytest
import time_machine

from cdk_rehearsal import Request, Response
from lambdas.eventing import aws, https
from lambdas.eventing.misconfiguration import Misconfigured
from lambdas.shipping import easypost_carrier
from lambdas.shipping.carrier import TooLate, Unavailable, Undeliverable
from lambdas.shipping.domain import Report
from lambdas.shipping.easypost_carrier import EasyPostCarrier
from tests.shipping.context import DISPATCH, ENVIRONMENT, Shipping
from tests.support.cloud import Cloud, Commits, Crash, crash
from tests.support.orders import ADDRESS
from tools.demo.easypost_host import EasyPostHost

KEY = "EZAK-key-of-the-shop"


class Line:
    """The way between the client and the host, which can break."""

    def __init__(self, host: EasyPostHost) -> None:
        self.host = host
        self.requests: list[Request] = []
        self.limits: list[float] = []
        """The seconds that each request may take in total."""

    def request(
        self, method: str, target: str, *, host: str, body: bytes, headers: dict[str, str], **_: Any
    ) -> https.HttpAnswer:
        """Stands for `https.request`."""
        sent = Request(method, target, headers, body, "", 443, is_tls=True, sender="")
        assert host == "api.easypost.com"
        self.requests.append(sent)
        status, answered, content = self.host.respond(sent)
        return https.HttpAnswer(
            status, answered, content.encode() if isinstance(content, str) else content
        )


@pytest.fixture
def line(cloud: Cloud) -> Line:
    line = Line(EasyPostHost(lambda: KEY))
    cloud.monkeypatch.setattr(https, "request", line.request)
    deadline = https.Deadline.__init__

    def limited(self: https.Deadline, seconds: float) -> None:
        line.limits.append(seconds)
        deadline(self, seconds)

    cloud.monkeypatch.setattr(https.Deadline, "__init__", limited)
    return line


@pytest.fixture
def easypost(line: Line) -> EasyPostHost:
    return line.host


@pytest.fixture
def carrier(cloud: Cloud, line: Line) -> EasyPostCarrier:
    secret = aws.secrets().create_secret(Name="easypost", SecretString=f"{KEY}\n")
    cloud.configure(ENVIRONMENT)
    return EasyPostCarrier(secret["ARN"])


def opened(carrier: EasyPostCarrier, **changed: str) -> str:
    address = msgspec.structs.replace(ADDRESS, **changed)
    return carrier.open("order-1", address=address, units=3)


def before(answer: Callable[[], Response]) -> Response:
    """The host answers nothing, and does nothing."""
    raise https.NoAnswer("the host did not answer in time")


def after(answer: Callable[[], Response]) -> Response:
    """The host does what it is asked for, and its answer is lost."""
    answer()
    raise https.NoAnswer("the host did not answer in time")


def with_status(status: int, body: str = "") -> Callable[[Any], Response]:
    return lambda answer: (status, {"retry-after": "7"}, body)


def after_effect(status: int, body: str = "") -> Callable[[Any], Response]:
    def fail(answer: Callable[[], Response]) -> Response:
        answer()
        return status, {}, body

    return fail


FAULTS = {
    "timeout before the effect": before,
    "timeout after the effect": after,
    "429": with_status(429),
    "500 before the effect": with_status(500),
    "500 after the effect": after_effect(500),
    "503": with_status(503, '{"error": {"code": "SERVICE.UNAVAILABLE"}}'),
    "malformed body": after_effect(200, "<html>"),
    "incomplete body": after_effect(200, '{"object": "Shipment"}'),
    "redirect": with_status(302),
}


def refused(status: int, code: str) -> Callable[[Any], Response]:
    return with_status(status, json.dumps({"error": {"code": code, "message": "no"}}))


def test_a_parcel_is_described_with_sender_recipient_and_measures(
    carrier: EasyPostCarrier, line: Line
) -> None:
    assert opened(carrier) == "shp_000001"
    (request,) = line.requests
    shipment = json.loads(request.body)["shipment"]
    assert shipment["reference"] == "order-1"
    assert shipment["to_address"] == {
        "name": ADDRESS.name,
        "street1": ADDRESS.street,
        "zip": ADDRESS.postal_code,
        "city": ADDRESS.city,
        "country": ADDRESS.country,
    }
    assert shipment["from_address"]["company"] == DISPATCH.sender_name
    assert shipment["from_address"]["country"] == "DE"
    # 3 units of 400 g in ounces; 30 x 20 x 15 cm in inches.
    assert shipment["parcel"] == {"weight": 42.3, "length": 11.8, "width": 7.9, "height": 5.9}


def test_the_cheapest_offer_in_time_is_bought(carrier: EasyPostCarrier, line: Line) -> None:
    tracking_id = carrier.buy(opened(carrier))
    assert tracking_id == "EZ000001"
    bought = json.loads(line.requests[-1].body)["rate"]["id"]
    # "Slow" is cheaper, but takes nine days; five were promised.
    assert bought.endswith("_ground")


def test_if_no_offer_is_in_time_the_cheapest_one_is_bought(
    carrier: EasyPostCarrier, line: Line, cloud: Cloud
) -> None:
    cloud.configure({"DELIVERY_HOURS": "12"})
    carrier.buy(opened(carrier))
    assert json.loads(line.requests[-1].body)["rate"]["id"].endswith("_slow")


def test_offers_in_several_currencies_are_not_compared(
    carrier: EasyPostCarrier, easypost: EasyPostHost
) -> None:
    parcel_id = opened(carrier)
    document = easypost.parcels[parcel_id].document()
    document["rates"][0]["currency"] = "USD"
    easypost.fail("find", with_status(200, json.dumps(document)))
    with pytest.raises(Misconfigured, match="several currencies"):
        carrier.buy(parcel_id)
    assert easypost.labels()["order-1"] == 0


def test_without_an_offer_the_next_attempt_asks_again(
    carrier: EasyPostCarrier, easypost: EasyPostHost
) -> None:
    parcel_id = opened(carrier)
    document = {**easypost.parcels[parcel_id].document(), "rates": []}
    easypost.fail("find", with_status(200, json.dumps(document)))
    easypost.fail("rerate", with_status(200, '{"rates": []}'))
    with pytest.raises(Unavailable, match="no carrier offers"):
        carrier.buy(parcel_id)
    assert carrier.buy(parcel_id)


@pytest.mark.parametrize("days", [0, 30, 400])
def test_a_repeated_purchase_buys_nothing_however_late(
    carrier: EasyPostCarrier, easypost: EasyPostHost, days: int
) -> None:
    parcel_id = opened(carrier)
    tracking_id = carrier.buy(parcel_id)
    with time_machine.travel(datetime.now(UTC) + timedelta(days=days)):
        assert carrier.buy(parcel_id) == tracking_id
    assert easypost.labels()["order-1"] == 1
    assert easypost.calls["buy"] == 1


def test_a_first_purchase_after_thirty_days_gets_current_offers(
    carrier: EasyPostCarrier, easypost: EasyPostHost
) -> None:
    parcel_id = opened(carrier)
    with time_machine.travel(datetime.now(UTC) + timedelta(days=30)):
        assert carrier.buy(parcel_id)
    assert easypost.calls["rerate"] == 1


@pytest.mark.parametrize("operation", ["find", "buy"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_purchase_with_a_fault_buys_one_label_in_the_end(
    carrier: EasyPostCarrier, easypost: EasyPostHost, operation: str, fault: str
) -> None:
    parcel_id = opened(carrier)
    easypost.fail(operation, FAULTS[fault])
    with pytest.raises(Unavailable):
        carrier.buy(parcel_id)
    assert carrier.buy(parcel_id) == "EZ000001"
    assert easypost.labels()["order-1"] == 1


@pytest.mark.parametrize("operation", ["find", "refund"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_recall_with_a_fault_refunds_the_label_in_the_end(
    carrier: EasyPostCarrier, easypost: EasyPostHost, operation: str, fault: str
) -> None:
    parcel_id = opened(carrier)
    carrier.buy(parcel_id)
    easypost.fail(operation, FAULTS[fault])
    with pytest.raises(Unavailable):
        carrier.recall(parcel_id)
    carrier.recall(parcel_id)
    assert easypost.states() == {"order-1": "recalled"}


@pytest.mark.parametrize("fault", FAULTS)
def test_an_order_whose_parcel_was_opened_twice_has_one_label(
    cloud: Cloud, line: Line, carrier: EasyPostCarrier, fault: str
) -> None:
    shipping = with_easypost(cloud, carrier)
    line.host.fail("open", FAULTS[fault])
    assert not shipping.confirm()
    assert shipping.confirm()
    assert shipping.state() == "requested"
    assert line.host.labels().total() == 1


def test_two_concurrent_requests_buy_one_label(
    cloud: Cloud, line: Line, carrier: EasyPostCarrier
) -> None:
    shipping = with_easypost(cloud, carrier)
    Commits(cloud.monkeypatch).before(2, shipping.confirm)
    assert shipping.confirm()
    assert len(line.host.parcels) == 2
    assert line.host.labels().total() == 1
    assert shipping.shipment()["tracking_id"] in {"EZ000001", "EZ000002"}
    assert shipping.published() == ["ShipmentRequested"]


@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_after_a_crash_and_thirty_days_a_redrive_buys_one_label(
    cloud: Cloud, line: Line, carrier: EasyPostCarrier, moment: str, number: int
) -> None:
    shipping = with_easypost(cloud, carrier)
    getattr(Commits(cloud.monkeypatch), moment)(number, crash)
    with pytest.raises(Crash):
        shipping.confirm()
    with time_machine.travel(datetime.now(UTC) + timedelta(days=30)):
        assert shipping.confirm()
    assert line.host.labels().total() == 1
    assert shipping.published() == ["ShipmentRequested"]


def with_easypost(cloud: Cloud, carrier: EasyPostCarrier) -> Shipping:
    """The context with EasyPost as its carrier."""
    shipping = Shipping.in_cloud(cloud)
    cloud.configure({"CARRIER": "easypost", "CARRIER_RESOURCE": carrier._secret_arn})
    return shipping


def test_a_cancelled_order_that_has_left_goes_on_to_its_customer(
    cloud: Cloud, line: Line, carrier: EasyPostCarrier, capsys: pytest.CaptureFixture[str]
) -> None:
    shipping = with_easypost(cloud, carrier)
    shipping.confirm()
    line.host.move("order-1", "picked_up")
    assert shipping.cancel()
    assert shipping.state() == "shipped"
    assert shipping.published() == ["ShipmentRequested", "OrderShipped"]
    assert '"RecallsTooLate":[1.0]' in capsys.readouterr().out


def test_events_are_assigned_by_the_reference_of_the_parcel(
    cloud: Cloud, carrier: EasyPostCarrier
) -> None:
    shipping = with_easypost(cloud, carrier)
    shipping.confirm()
    answer = shipping.report("delivered", shipment_id="shp_000001", tracking_code="EZ000001")
    assert answer.status == 200
    assert shipping.state() == "delivered"


def test_a_recall_before_the_purchase_refunds_nothing(
    carrier: EasyPostCarrier, easypost: EasyPostHost
) -> None:
    carrier.recall(opened(carrier))
    assert easypost.calls["refund"] == 0


@pytest.mark.parametrize("status", ["refunded", "not_applicable", "submitted"])
def test_a_label_that_is_refunded_or_not_billed_is_recalled(
    carrier: EasyPostCarrier, easypost: EasyPostHost, status: str
) -> None:
    parcel_id = opened(carrier)
    carrier.buy(parcel_id)
    easypost.parcels[parcel_id].refund_status = status
    carrier.recall(parcel_id)
    assert easypost.calls["refund"] == 0


def test_a_rejected_refund_is_requested_again(
    carrier: EasyPostCarrier, easypost: EasyPostHost
) -> None:
    parcel_id = opened(carrier)
    carrier.buy(parcel_id)
    document = {**easypost.parcels[parcel_id].document(), "refund_status": "rejected"}
    easypost.fail("refund", with_status(200, json.dumps(document)))
    with pytest.raises(Unavailable, match="rejected"):
        carrier.recall(parcel_id)
    carrier.recall(parcel_id)
    assert easypost.states() == {"order-1": "recalled"}


@pytest.mark.parametrize(
    ("status", "reached"),
    [
        ("in_transit", Report.PICKED_UP),
        ("out_for_delivery", Report.PICKED_UP),
        ("available_for_pickup", Report.PICKED_UP),
        ("delivered", Report.DELIVERED),
        # Unknown to the shop before, so the refund's refusal decides.
        ("return_to_sender", Report.PICKED_UP),
    ],
)
def test_a_parcel_that_has_left_cannot_be_recalled(
    carrier: EasyPostCarrier, easypost: EasyPostHost, status: str, reached: Report
) -> None:
    parcel_id = opened(carrier)
    carrier.buy(parcel_id)
    easypost.parcels[parcel_id].status = status
    with pytest.raises(TooLate) as caught:
        carrier.recall(parcel_id)
    assert caught.value.reached is reached


def test_a_parcel_of_another_system_has_no_order(carrier: EasyPostCarrier) -> None:
    assert carrier.order_of("shp_other") is None
    assert carrier.order_of(opened(carrier)) == "order-1"


@pytest.mark.parametrize(
    ("status", "code", "expected", "remedy"),
    [
        (401, "APIKEY.INACTIVE", Misconfigured, "EasyPost's key"),
        (403, "FORBIDDEN", Misconfigured, "EasyPost's key"),
        (402, "PAYMENT_REQUIRED", Misconfigured, "add funds"),
        (404, "NOT_FOUND", Misconfigured, "does not accept"),
        (409, "CONFLICT", Unavailable, "409"),
        (422, "SHIPMENT.POSTAGE.EXISTS", Unavailable, "EXISTS"),
        (422, "SHIPMENT.PURCHASE.IN_PROGRESS", Unavailable, "IN_PROGRESS"),
        (422, "SHIPMENT.POSTAGE.FAILURE", Unavailable, "FAILURE"),
        (422, "SHIPMENT.POSTAGE.NO_RESPONSE", Unavailable, "NO_RESPONSE"),
        (422, "SHIPMENT.POSTAGE.TIMED_OUT", Unavailable, "TIMED_OUT"),
        (422, "SHIPMENT.INVALID_PARAMS", Misconfigured, "does not accept"),
        (422, "ADDRESS.VERIFY.FAILURE", Undeliverable, "another address"),
    ],
)
def test_each_refusal_has_a_meaning(
    carrier: EasyPostCarrier,
    easypost: EasyPostHost,
    status: int,
    code: str,
    expected: type[Exception],
    remedy: str,
) -> None:
    parcel_id = opened(carrier)
    easypost.fail("buy", refused(status, code))
    with pytest.raises(expected, match=remedy):
        carrier.buy(parcel_id)


def test_an_address_that_easypost_rejects_is_undeliverable(carrier: EasyPostCarrier) -> None:
    with pytest.raises(Undeliverable, match="ADDRESS"):
        opened(carrier, country="XX")


@pytest.mark.parametrize("body", ["", "<html>", "[]", '{"error": "no"}'])
def test_a_refusal_in_another_form_still_has_a_meaning(
    carrier: EasyPostCarrier, easypost: EasyPostHost, body: str
) -> None:
    parcel_id = opened(carrier)
    easypost.fail("buy", with_status(422, body))
    with pytest.raises(Misconfigured, match="unknown"):
        carrier.buy(parcel_id)


def test_neither_key_nor_address_appear_in_an_error(
    carrier: EasyPostCarrier, easypost: EasyPostHost
) -> None:
    for fault in FAULTS.values():
        easypost.fail("open", fault)
        with pytest.raises(Unavailable) as caught:
            opened(carrier)
        shown = "".join(map(str, chain_of(caught.value)))
        assert KEY not in shown
        assert ADDRESS.street not in shown
        assert ADDRESS.name not in shown


def chain_of(error: BaseException | None) -> Iterator[BaseException]:
    while error:
        yield error
        error = error.__cause__


def test_a_wrong_key_is_a_configuration_error(cloud: Cloud, line: Line) -> None:
    cloud.configure(ENVIRONMENT)
    secret = aws.secrets().create_secret(Name="wrong", SecretString="another key")
    with pytest.raises(Misconfigured, match="EasyPost's key"):
        opened(EasyPostCarrier(secret["ARN"]))


class TestDurations:
    """`LONGEST_S` is true: other tests compare it with the timeouts of functions."""

    @contextmanager
    def measured(self, line: Line, operation: str) -> Iterator[None]:
        """Asserts that the requests in the block may take as long as the operation is said to."""
        line.limits.clear()
        yield
        assert sum(line.limits) <= easypost_carrier.LONGEST_S[operation]

    def test_no_path_takes_longer_than_stated(self, carrier: EasyPostCarrier, line: Line) -> None:
        with self.measured(line, "open"):
            parcel_id = opened(carrier)
        with time_machine.travel(datetime.now(UTC) + timedelta(days=30)):
            with self.measured(line, "buy"):
                carrier.buy(parcel_id)
            assert len(line.limits) == 3  # with new rates
        with self.measured(line, "recall"):
            carrier.recall(parcel_id)
        assert len(line.limits) == 2
        with self.measured(line, "order_of"):
            carrier.order_of(parcel_id)

    def test_every_operation_is_measured(self) -> None:
        operations = {name for name in vars(EasyPostCarrier) if not name.startswith("_")}
        assert set(easypost_carrier.LONGEST_S) == operations

    def test_no_part_waits_longer_than_the_whole(self) -> None:
        for limits in (easypost_carrier._BRISK, easypost_carrier._CARRIERS):
            parts = (limits.connect_s, limits.read_s, limits.total_s)
            assert all(shorter <= longer for shorter, longer in pairwise(parts))
