"""Callbacks: only reports signed by the carrier count, and each counts once."""

import json
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

import pytest

from lambdas.eventing import aws
from lambdas.eventing.signature import EASYPOST, HEADER, sign
from lambdas.shipping import take_carrier_event
from lambdas.shipping.carrier import Unavailable
from lambdas.shipping.carrier_event import REPORTS
from lambdas.shipping.events import OrderShipped
from lambdas.shipping.sandbox_carrier import SandboxCarrier
from lambdas.shipping.settings import reminder_settings
from tests.shipping.context import REQUESTS, ROUTE, SECRET, Shipping, later
from tests.support.cloud import Cloud, Commits, Crash, crash
from tests.support.messages import Call
from tools.demo.carrier import signed


def elsewhere(body: str, now: datetime) -> dict[str, str]:
    """Headers of a request with the same secret for another address."""
    return EASYPOST.sign(SECRET, "POST", "/elsewhere", body.encode(), at=now)


WAY = ["ShipmentRequested", "OrderShipped", "OrderDelivered"]


class TestReminders:
    def test_a_delivered_parcel_has_no_reminder_and_others_keep_theirs(
        self, shipping: Shipping
    ) -> None:
        """An account has 10,000,000: https://docs.aws.amazon.com/scheduler/latest/UserGuide/scheduler-quotas.html."""
        for order_id in ("order-1", "order-2", "order-3"):
            shipping.confirm(order_id)
        shipping.report("picked_up", "order-2")
        shipping.report("failed", "order-3")
        assert shipping.report("delivered", "order-1").status == 200
        assert sorted(shipping.schedules()) == ["shipment-order-2", "shipment-order-3"]

    def test_after_a_crash_the_repeated_report_deletes_the_reminder(
        self, shipping: Shipping, cloud: Cloud
    ) -> None:
        shipping.confirm()
        with cloud.monkeypatch.context() as patch:
            patch.setattr(aws.scheduler(), "delete_schedule", lambda **_: crash())
            with pytest.raises(Crash):
                shipping.report("delivered", event_id="d")
        assert (shipping.state(), shipping.schedules()) == ("delivered", ["shipment-order-1"])
        assert shipping.report("delivered", event_id="d").status == 200
        assert shipping.schedules() == []
        assert shipping.published() == WAY

    def test_a_reminder_that_remains_finds_nothing_to_do(
        self, shipping: Shipping, cloud: Cloud
    ) -> None:
        shipping.confirm()
        with cloud.monkeypatch.context() as patch:
            patch.setattr(aws.scheduler(), "delete_schedule", lambda **_: crash())
            with pytest.raises(Crash):
                shipping.report("delivered")
        with later():
            assert shipping.remind()
        assert shipping.published() == WAY

    def test_a_report_whose_id_was_used_does_not_end_the_watch(self, shipping: Shipping) -> None:
        shipping.confirm()
        shipping.report("picked_up", event_id="e-1")
        assert shipping.report("delivered", event_id="e-1").status == 200
        assert shipping.schedules() == ["shipment-order-1"]

    def test_code_with_the_settings_of_an_earlier_release_leaves_the_reminder(
        self, shipping: Shipping, cloud: Cloud
    ) -> None:
        shipping.confirm()
        cloud.monkeypatch.delenv("SCHEDULE_GROUP_NAME")
        reminder_settings.cache_clear()
        assert shipping.report("delivered").status == 200
        assert (shipping.state(), shipping.schedules()) == ("delivered", ["shipment-order-1"])

    def test_a_reminder_that_is_gone_is_no_failure(self, shipping: Shipping) -> None:
        shipping.confirm()
        aws.scheduler().delete_schedule(
            GroupName=REQUESTS.schedule_group_name, Name="shipment-order-1"
        )
        assert shipping.report("delivered").status == 200

    def test_a_throttled_deletion_has_the_carrier_send_the_report_again(
        self, shipping: Shipping, cloud: Cloud
    ) -> None:
        def refuse(**_: object) -> None:
            raise aws.scheduler().exceptions.ThrottlingException(
                {"Error": {"Code": "ThrottlingException", "Message": "slow down"}}, "DeleteSchedule"
            )

        shipping.confirm()
        with cloud.monkeypatch.context() as patch:
            patch.setattr(aws.scheduler(), "delete_schedule", refuse)
            with pytest.raises(aws.scheduler().exceptions.ThrottlingException):
                shipping.report("delivered", event_id="d")
        assert shipping.report("delivered", event_id="d").status == 200
        assert shipping.schedules() == []


class TestReports:
    def test_a_parcel_is_picked_up_and_delivered(self, shipping: Shipping) -> None:
        shipping.confirm()
        answer = shipping.report("picked_up", event_id="e-1")
        assert (answer.status, answer.json) == (200, {"event_id": "e-1"})
        assert shipping.state() == "shipped"
        assert shipping.published() == WAY[:2]
        assert shipping.report("delivered").status == 200
        assert shipping.state() == "delivered"
        assert shipping.published() == WAY

    def test_an_event_has_the_correlation_id_of_its_order(self, shipping: Shipping) -> None:
        shipping.confirm()
        shipping.report("picked_up", event_id="e-1")
        (envelope,) = shipping.table.envelopes(OrderShipped)
        assert envelope.correlationid == "correlation-of-order-1"
        assert envelope.causationid == "e-1"

    def test_a_delivery_before_its_pickup_publishes_both_in_order_in_one_transaction(
        self, shipping: Shipping, commits: Commits
    ) -> None:
        shipping.confirm()
        before = commits.count
        assert shipping.report("delivered").status == 200
        assert commits.count == before + 1
        assert shipping.published() == WAY
        assert shipping.report("picked_up").status == 200
        assert shipping.state() == "delivered"
        assert shipping.published() == WAY

    def test_event_ids_need_to_be_unique_only_within_a_parcel(self, shipping: Shipping) -> None:
        for order_id in ("order-1", "order-2"):
            shipping.confirm(order_id)
            assert shipping.report("picked_up", order_id, event_id="e-1").status == 200
        assert [item["state"] for item in shipping.table.items("shipment")] == ["shipped"] * 2
        assert shipping.table.published().count("OrderShipped.v1") == 2

    def test_a_repeated_report_is_accepted_and_changes_nothing(self, shipping: Shipping) -> None:
        shipping.confirm()
        for _ in range(2):
            assert shipping.report("picked_up", event_id="e-1").status == 200
        before = shipping.table.items()
        assert shipping.report("picked_up", event_id="e-1").status == 200
        assert shipping.report("picked_up", event_id="e-2").status == 200
        assert shipping.table.items() == before
        assert shipping.published() == WAY[:2]

    def test_another_report_with_the_same_id_counts_as_a_repetition(
        self, shipping: Shipping
    ) -> None:
        shipping.confirm()
        shipping.report("picked_up", event_id="e-1")
        assert shipping.report("delivered", event_id="e-1").status == 200
        assert shipping.state() == "shipped"

    def test_repeated_requests_change_nothing(self, shipping: Shipping) -> None:
        shipping.confirm()
        shipping.report("picked_up")
        shipping.report("delivered")
        before = shipping.table.items()
        for call in shipping.calls:
            assert call.send(take_carrier_event.handler).status == 200
        assert shipping.table.items() == before

    def test_every_sequence_of_reports_has_the_same_result(self, shipping: Shipping) -> None:
        reports = [("picked_up", "p"), ("picked_up", "p"), ("delivered", "d"), ("delivered", "x")]
        for number, sequence in enumerate(sorted(set(permutations(reports)))):
            order_id = f"order-{number:02}"
            shipping.confirm(order_id)
            for kind, event in sequence:
                answer = shipping.report(kind, order_id, event_id=f"{order_id}-{event}")
                assert answer.status == 200
            assert shipping.state(order_id) == "delivered"
            assert shipping.published(order_id) == WAY, sequence

    def test_two_concurrent_deliveries_of_a_report_count_once(
        self, shipping: Shipping, commits: Commits
    ) -> None:
        shipping.confirm()
        commits.before(1, lambda: shipping.report("picked_up", event_id="e-1"))
        assert shipping.report("picked_up", event_id="e-1").status == 200
        assert shipping.published() == WAY[:2]

    @pytest.mark.parametrize(
        ("first", "second"), [("picked_up", "delivered"), ("delivered", "picked_up")]
    )
    def test_two_concurrent_reports_both_count(
        self, shipping: Shipping, commits: Commits, first: str, second: str
    ) -> None:
        shipping.confirm()
        commits.before(1, lambda: shipping.report(first))
        assert shipping.report(second).status == 200
        assert shipping.state() == "delivered"
        assert shipping.published() == WAY

    @pytest.mark.parametrize("moment", ["before", "after"])
    def test_after_a_crash_around_the_commit_the_next_call_completes_the_report(
        self, shipping: Shipping, commits: Commits, moment: str
    ) -> None:
        shipping.confirm()
        getattr(commits, moment)(1, crash)
        with pytest.raises(Crash):
            shipping.report("delivered", event_id="e-1")
        assert shipping.report("delivered", event_id="e-1").status == 200
        assert shipping.published() == WAY

    def test_a_report_before_the_request_is_stored_is_to_be_retried_later(
        self, shipping: Shipping, commits: Commits
    ) -> None:
        commits.before(3, crash)
        with pytest.raises(Crash):
            shipping.confirm()
        answer = shipping.report("picked_up", event_id="e-1")
        assert answer.status == 409
        assert answer.json["code"] == "try_later"
        assert int(answer.headers["retry-after"]) > 0
        assert shipping.state() == "requesting"
        shipping.confirm()
        assert shipping.report("picked_up", event_id="e-1").status == 200
        assert shipping.published() == WAY[:2]

    def test_a_report_during_a_recall_is_to_be_retried_later(
        self, shipping: Shipping, commits: Commits
    ) -> None:
        shipping.confirm()
        commits.before(2, crash)
        with pytest.raises(Crash):
            shipping.cancel()
        assert shipping.report("delivered").status == 409
        assert shipping.published() == WAY[:1]

    def test_a_report_after_the_recall_changes_nothing_and_is_counted(
        self, shipping: Shipping, capsys: pytest.CaptureFixture[str]
    ) -> None:
        shipping.confirm()
        shipping.cancel()
        before = shipping.table.items()
        assert shipping.report("delivered").status == 200
        assert shipping.table.items() == before
        assert '"CallbacksAfterRecall":[1.0]' in capsys.readouterr().out

    def test_only_the_first_delivery_of_a_report_is_counted_as_new(
        self, shipping: Shipping, capsys: pytest.CaptureFixture[str]
    ) -> None:
        shipping.confirm()
        for _ in range(3):
            shipping.report("picked_up", event_id="e-1")
        out = capsys.readouterr().out
        assert out.count('"CarrierReports":[1.0]') == 1
        assert out.count('"DuplicateCallbacks":[1.0]') == 2

    def test_a_report_that_an_earlier_release_took_changes_nothing(
        self, shipping: Shipping, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """It remembered the report in the inbox, and in the shipment's state, too."""
        shipping.confirm()
        shipping.report("picked_up", event_id="e-1")
        shipping.table.as_stored_earlier("shipment", "reports")
        inbox = "INBOX#shipping.carrier#order-1#e-1"
        shipping.table.put({"pk": inbox, "sk": inbox, "kind": "inbox"})
        known = shipping.table.items()
        capsys.readouterr()
        assert shipping.report("picked_up", event_id="e-1").status == 200
        assert shipping.table.items() == known
        assert '"DuplicateCallbacks":[1.0]' in capsys.readouterr().out


class TestStatuses:
    @pytest.mark.parametrize(
        ("status", "state"),
        [
            ("unknown", "requested"),
            ("pre_transit", "requested"),
            ("in_transit", "shipped"),
            ("out_for_delivery", "shipped"),
            ("available_for_pickup", "shipped"),
            ("delivered", "delivered"),
            ("return_to_sender", "requested"),
            ("failure", "requested"),
            ("cancelled", "requested"),
            ("error", "requested"),
            ("a status of the future", "requested"),
            ({"a batch": "has an object here"}, "requested"),
            (None, "requested"),
        ],
    )
    def test_each_status_has_a_meaning(self, shipping: Shipping, status: Any, state: str) -> None:
        shipping.confirm()
        assert shipping.report("picked_up", status=status).status == 200
        assert shipping.state() == state

    def test_every_documented_status_is_known(self) -> None:
        """https://docs.easypost.com/docs/trackers"""
        documented = "unknown pre_transit in_transit out_for_delivery delivered"
        others = "available_for_pickup return_to_sender failure cancelled error"
        assert set(REPORTS) == {*documented.split(), *others.split()}

    @pytest.mark.parametrize("status", ["return_to_sender", "failure", "cancelled"])
    def test_a_failed_delivery_is_marked_and_counted_once(
        self, shipping: Shipping, status: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        shipping.confirm()
        shipping.report("picked_up")
        for event_id in ("f-1", "f-1", "f-2"):
            answer = shipping.report("picked_up", event_id=event_id, status=status)
            assert answer.status == 200
        assert shipping.shipment()["failed"] is True
        assert shipping.state() == "shipped"
        assert shipping.published() == WAY[:2]
        assert capsys.readouterr().out.count('"FailedDeliveries":[1.0]') == 1
        assert shipping.report("delivered").status == 200
        assert shipping.published() == WAY

    def test_the_cancelled_label_of_a_recalled_parcel_is_no_failure(
        self, shipping: Shipping, capsys: pytest.CaptureFixture[str]
    ) -> None:
        shipping.confirm()
        shipping.cancel()
        assert shipping.report("picked_up", status="cancelled").status == 200
        assert "FailedDeliveries" not in capsys.readouterr().out

    @pytest.mark.parametrize("description", ["refund.successful", "batch.updated", "x"])
    def test_other_events_change_nothing(self, shipping: Shipping, description: str) -> None:
        shipping.confirm()
        body = json.dumps(
            {
                "id": "e-1",
                "description": description,
                "created_at": "2026-01-08T09:30:00Z",
                "result": {"shipment_id": "order-1", "status": "delivered"},
            }
        )
        assert shipping.call(body).json == {"event_id": "e-1"}
        assert shipping.state() == "requested"

    @pytest.mark.parametrize("missing", ["shipment_id", "tracking_code"])
    def test_a_tracker_without_a_label_of_the_shop_changes_nothing(
        self, shipping: Shipping, missing: str
    ) -> None:
        shipping.confirm()
        changed: dict[str, Any] = {missing: None}
        assert shipping.report("delivered", **changed).status == 200
        assert shipping.state() == "requested"


class TestErrors:
    @pytest.mark.parametrize(
        "changed",
        [
            {"shipment_id": "order-9"},
            {"tracking_code": "SANDBOX-9"},
        ],
    )
    def test_an_event_about_an_unknown_parcel_changes_nothing_and_is_counted(
        self, shipping: Shipping, changed: dict[str, str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Another stage or system may have the same account: the carrier must not stop calling."""
        shipping.confirm()
        assert shipping.report("delivered", **changed).status == 200
        assert shipping.state() == "requested"
        assert '"UnknownParcels":[1.0]' in capsys.readouterr().out

    def test_the_parcel_of_another_order_changes_nothing(self, shipping: Shipping) -> None:
        shipping.confirm("order-1")
        shipping.confirm("order-2")
        other = shipping.parcel("order-2")["tracking_id"]
        assert shipping.report("delivered", "order-1", tracking_code=other).status == 200
        assert shipping.state("order-1") == shipping.state("order-2") == "requested"

    def test_while_the_carrier_does_not_name_the_order_the_event_is_to_be_sent_again(
        self, shipping: Shipping, cloud: Cloud
    ) -> None:
        def refuse(*_: object) -> str:
            raise Unavailable

        shipping.confirm()
        with cloud.monkeypatch.context() as patch:
            patch.setattr(SandboxCarrier, "order_of", refuse)
            answer = shipping.report("picked_up", event_id="e-1")
        assert (answer.status, answer.json["code"]) == (503, "carrier_unavailable")
        assert shipping.report("picked_up", event_id="e-1").status == 200
        assert shipping.state() == "shipped"

    @pytest.mark.parametrize(
        ("changed", "field"),
        [
            ({"id": ""}, "id"),
            ({"id": "x" * 101}, "id"),
            ({"description": None}, "description"),
            ({"result": None}, "result"),
            ({"result": {"shipment_id": 7}}, "result.shipment_id"),
            ({"result": {"tracking_code": ""}}, "result.tracking_code"),
            ({"created_at": "2026-01-08T09:30:00"}, "created_at"),
            ({"created_at": "yesterday"}, "created_at"),
        ],
    )
    def test_an_invalid_report_is_rejected_with_its_field(
        self, shipping: Shipping, changed: dict[str, Any], field: str
    ) -> None:
        shipping.confirm()
        report = {
            "id": "e-1",
            "description": "tracker.updated",
            "created_at": "2026-01-08T09:30:00Z",
            "result": {"shipment_id": "order-1", "status": "delivered"},
        }
        answer = shipping.call(json.dumps({**report, **changed}))
        assert answer.status == 400
        assert answer.json["errors"][0]["field"] == field
        assert shipping.state() == "requested"

    @pytest.mark.parametrize("body", ["", "{", "[]", "null", '{"event_id": "e-1"}', "\x00"])
    def test_a_body_that_is_not_a_report_is_rejected(self, shipping: Shipping, body: str) -> None:
        assert shipping.call(body).status == 400

    def test_an_unknown_field_is_ignored(self, shipping: Shipping) -> None:
        shipping.confirm()
        assert shipping.report("picked_up", weather="rain").status == 200


class TestSignature:
    """A request without a recent signature of the carrier is rejected before a table is read."""

    @pytest.fixture(autouse=True)
    def requested(self, shipping: Shipping, cloud: Cloud) -> None:
        shipping.confirm()
        shipping.report("picked_up")
        cloud.monkeypatch.setattr(
            aws.dynamodb(), "get_item", lambda **_: pytest.fail("a table was read")
        )

    @pytest.mark.parametrize(
        ("headers", "detail"),
        [
            (lambda body, now: signed(body, "another key", at=now), "secret"),
            (lambda body, now: signed(body + " ", SECRET, at=now), "secret"),
            (lambda body, now: signed(body, SECRET, at=now - timedelta(seconds=302)), "off"),
            (lambda body, now: signed(body, SECRET, at=now + timedelta(seconds=302)), "off"),
            (elsewhere, "path"),
            (lambda body, now: {**signed(body, SECRET), "x-timestamp": "now"}, "secret"),
            (lambda body, now: {**signed(body, SECRET), "x-hmac-signature-v2": ""}, "form"),
            (lambda body, now: {HEADER: sign(SECRET, body.encode(), at=now)}, "form"),
            (lambda body, now: {}, "form"),
        ],
        ids=[
            "wrong secret",
            "other body",
            "old",
            "future",
            "for another path",
            "another time",
            "empty",
            "the shop's own scheme",
            "missing",
        ],
    )
    def test_a_forged_callback_is_rejected(
        self, shipping: Shipping, headers: Any, detail: str
    ) -> None:
        body = str(shipping.calls[0].body).replace("in_transit", "delivered")
        call = Call(route=ROUTE, body=body, headers=headers(body, datetime.now(UTC)))
        answer = call.send(take_carrier_event.handler)
        assert answer.status == 401
        assert answer.json["code"] == "forged"
        assert detail in answer.json["detail"]
        assert shipping.state() == "shipped"

    def test_the_signature_of_another_body_is_rejected(self, shipping: Shipping) -> None:
        seen = shipping.calls[0]
        body = str(seen.body).replace("in_transit", "delivered")
        call = Call(route=seen.route, body=body, headers=seen.headers)
        assert call.send(take_carrier_event.handler).status == 401

    def test_an_intercepted_request_cannot_be_replayed_later(self, shipping: Shipping) -> None:
        with later(hours=0.1):
            assert shipping.calls[0].send(take_carrier_event.handler).status == 401

    def test_a_customers_token_does_not_replace_the_signature(self, shipping: Shipping) -> None:
        call = Call(
            route=ROUTE,
            body=shipping.calls[0].body,
            headers={"authorization": "Bearer a.b.c"},
        )
        assert call.send(take_carrier_event.handler).status == 401


def test_the_signature_applies_to_the_decoded_body(shipping: Shipping) -> None:
    shipping.confirm()
    shipping.report("picked_up")
    body = str(shipping.calls[0].body).replace("in_transit", "delivered").replace("up-0", "up-1")
    call = Call(
        route=ROUTE,
        body=b64encode(body.encode()).decode(),
        headers=signed(body, SECRET),
        encoded=True,
    )
    assert call.send(take_carrier_event.handler).status == 200
    assert shipping.state() == "delivered"
