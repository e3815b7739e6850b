"""Requesting a return: of the customer's own order, within the period, once."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine

from lambdas.eventing.trace import TraceContext
from lambdas.returns import start_return
from lambdas.returns.events import ReturnDecided, ReturnReason, ReturnRequested
from lambdas.shipping.events import OrderDelivered, OrderShipped
from tests.returns.context import ORDER, ORDERS, Returns
from tests.support.cloud import Commits, Crash, crash
from tests.support.messages import CONTEXT, batch, enveloped, failed
from tests.support.orders import confirmed

NOW = datetime(2026, 1, 5, 8, tzinfo=UTC)


class TestRequest:
    def test_the_return_of_a_delivered_order_can_be_requested(self, returns: Returns) -> None:
        returns.delivered()
        answer = returns.request(reason="unwanted")
        assert answer.status == 202
        assert answer.headers["location"] == f"/orders/{ORDER}"
        assert (answer.json["order_id"], answer.json["reason"]) == (ORDER, "unwanted")
        assert returns.state() == "requested"
        assert returns.events(ReturnRequested) == [
            ReturnRequested(order_id=ORDER, customer_id="customer-1", reason=ReturnReason.UNWANTED)
        ]

    def test_the_return_and_its_event_are_committed_together(
        self, returns: Returns, commits: Commits
    ) -> None:
        returns.delivered()
        before = commits.count
        returns.request()
        assert commits.count == before + 1

    def test_the_events_of_an_order_can_arrive_in_any_sequence(self, returns: Returns) -> None:
        returns.receive(OrderDelivered(order_id=ORDER), confirmed(order_id=ORDER))
        assert returns.request().status == 202

    def test_redelivered_events_change_nothing(self, returns: Returns) -> None:
        events = [enveloped(confirmed(order_id=ORDER)), enveloped(OrderDelivered(order_id=ORDER))]
        returns.receive(*events, *events)
        (order,) = returns.table.items("order")
        assert order["customer_id"] == "customer-1"
        assert datetime.fromisoformat(order["delivered_at"]) == events[1].time

    def test_the_return_of_an_undelivered_order_is_rejected(self, returns: Returns) -> None:
        returns.receive(confirmed(order_id=ORDER))
        answer = returns.request()
        assert (answer.status, answer.json["code"]) == (409, "not_delivered")
        assert returns.table.items("return") == returns.table.items("outbox") == []

    @pytest.mark.parametrize(
        ("age", "status"),
        [(timedelta(days=30), 202), (timedelta(days=30, seconds=1), 409)],
        ids=["last moment", "too late"],
    )
    def test_a_return_can_be_requested_for_thirty_days(
        self, returns: Returns, age: timedelta, status: int
    ) -> None:
        returns.delivered(at=NOW)
        with time_machine.travel(NOW + age, tick=False):
            answer = returns.request()
        assert answer.status == status
        if status == 409:
            assert answer.json["code"] == "too_late"
            assert returns.table.items("return") == []

    def test_another_customers_order_looks_like_an_unknown_order(self, returns: Returns) -> None:
        returns.delivered()
        foreign = returns.request(caller="customer-2")
        unknown = returns.request(ORDERS[2], caller="customer-2")
        assert foreign.status == unknown.status == 404
        assert foreign.json["code"] == unknown.json["code"] == "unknown_order"
        assert set(foreign.json) == set(unknown.json)
        assert returns.table.items("return") == []

    def test_an_order_whose_customer_is_not_yet_known_is_not_found(self, returns: Returns) -> None:
        returns.receive(OrderDelivered(order_id=ORDER))
        assert returns.request().status == 404

    @pytest.mark.parametrize(
        "path",
        [
            "",
            "%20",
            f"../{ORDER}",
            f"{ORDER}#x",
            ORDER.replace("0", "A"),
            "o" * 3000,
            "é",
        ],
    )
    def test_an_invalid_order_id_in_the_path_is_not_found(
        self, returns: Returns, path: str
    ) -> None:
        returns.delivered()
        assert returns.request(path).status == 404

    @pytest.mark.parametrize(
        "body",
        [
            "{",
            {},
            {"reason": ""},
            {"reason": "it is too small"},
            {"reason": "DAMAGED"},
            {"reason": ["damaged"]},
            {"reason": 1},
            {"reason": "damaged", "customer_id": "customer-2"},
        ],
        ids=str,
    )
    def test_a_body_that_is_not_a_request_is_rejected(self, returns: Returns, body: Any) -> None:
        returns.delivered()
        assert returns.request(body=body).status == 400
        assert returns.table.items("return") == []

    def test_an_answer_to_free_text_lists_the_codes_and_does_not_repeat_it(
        self, returns: Returns, capsys: pytest.CaptureFixture[str]
    ) -> None:
        returns.delivered()
        answer = returns.request(reason="write to ada@example.com")
        assert answer.json["errors"] == [
            {
                "field": "reason",
                "reason": "Expected one of damaged, defective, wrong_item, not_as_described, "
                "arrived_late, unwanted, other",
            }
        ]
        assert "ada@" not in f"{answer}{capsys.readouterr()}"

    @pytest.mark.parametrize("reason", ReturnReason)
    def test_a_return_can_be_requested_for_each_reason(
        self, returns: Returns, reason: ReturnReason
    ) -> None:
        returns.delivered()
        assert returns.request(reason=reason).json["reason"] == reason

    def test_a_request_sent_twice_creates_one_return(self, returns: Returns) -> None:
        returns.delivered()
        assert returns.request() == returns.request()
        assert len(returns.events(ReturnRequested)) == 1

    def test_a_request_repeated_after_the_period_gets_the_same_response(
        self, returns: Returns
    ) -> None:
        returns.delivered(at=NOW)
        with time_machine.travel(NOW, tick=False):
            first = returns.request()
        with time_machine.travel(NOW + timedelta(days=90), tick=False):
            assert returns.request() == first

    def test_a_second_request_with_another_reason_is_rejected(self, returns: Returns) -> None:
        returns.delivered()
        returns.request(reason="unwanted")
        answer = returns.request(reason="damaged")
        assert (answer.status, answer.json["code"]) == (409, "already_requested")
        assert returns.table.one("return")["reason"] == "unwanted"

    def test_two_concurrent_requests_create_one_return(
        self, returns: Returns, commits: Commits
    ) -> None:
        returns.delivered()
        answers = []
        commits.before(1, lambda: answers.append(returns.request()))
        answers.append(returns.request())
        assert answers[0] == answers[1]
        assert len(returns.events(ReturnRequested)) == 1

    def test_of_two_concurrent_requests_with_different_reasons_one_is_rejected(
        self, returns: Returns, commits: Commits
    ) -> None:
        returns.delivered()
        commits.before(1, lambda: returns.request(reason="unwanted"))
        assert returns.request(reason="damaged").status == 409
        assert len(returns.events(ReturnRequested)) == 1

    def test_a_request_repeated_after_a_lost_response_gets_its_return(
        self, returns: Returns, commits: Commits
    ) -> None:
        returns.delivered()
        commits.after(1, crash)
        with pytest.raises(Crash):
            returns.request()
        assert returns.request().status == 202
        assert len(returns.events(ReturnRequested)) == 1

    def test_other_events_of_shipping_are_parked(self, returns: Returns) -> None:
        returns.receive(OrderShipped(order_id=ORDER))
        assert len(returns.parking.messages()) == 1


class TestStart:
    def test_it_starts_the_workflow_with_the_event(self, returns: Returns) -> None:
        returns.requested()
        assert returns.start() == []
        ((name, text),) = returns.service.executions.items()
        assert name == ORDER
        sent, given = json.loads(returns.event().to_json()), json.loads(text)["detail"]
        assert given == {**sent, "traceparent": given["traceparent"]}
        assert given["traceparent"] != sent["traceparent"]
        context = TraceContext.read(given["traceparent"])
        assert context
        assert context.trace_id == returns.event().trace.trace_id

    def test_a_redelivered_event_starts_nothing(self, returns: Returns) -> None:
        returns.requested()
        for _ in range(2):
            assert returns.start() == []
        assert len(returns.service.executions) == 1

    def test_a_second_event_for_the_same_return_starts_nothing(self, returns: Returns) -> None:
        returns.requested()
        returns.start()
        again = ReturnRequested(
            order_id=ORDER, customer_id="customer-1", reason=ReturnReason.UNWANTED
        )
        assert failed(start_return.handler(batch(enveloped(again)), CONTEXT)) == []
        assert list(returns.service.executions) == [ORDER]

    def test_each_order_has_its_own_execution(self, returns: Returns) -> None:
        for order_id in (ORDERS[1], ORDERS[2]):
            returns.requested(order_id)
            returns.start(order_id)
        assert list(returns.service.executions) == [ORDERS[1], ORDERS[2]]

    def test_an_event_of_another_type_starts_nothing(self, returns: Returns) -> None:
        event = ReturnDecided(order_id=ORDER, customer_id="customer-1", approved=True)
        assert failed(start_return.handler(batch(enveloped(event)), CONTEXT)) == []
        assert returns.service.executions == {}
        assert len(returns.parking.messages()) == 1
