"""Deciding about a return: only staff can, once, and the workflow always gets the decision."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine

from lambdas.eventing import aws
from lambdas.eventing.transaction import Contention
from lambdas.returns.domain import ApprovalStands
from lambdas.returns.events import OrderReturned, RefusalReason, ReturnDecided, ReturnRefused
from tests.returns.context import ORDER, ORDERS, Returns
from tests.support.cloud import Cloud, Commits, Crash, crash

START = datetime(2026, 1, 5, 8, tzinfo=UTC)


def answer(returns: Returns) -> dict[str, Any]:
    """The only answer that the workflow got."""
    (sent,) = returns.service.answers.values()
    assert isinstance(sent, dict)
    return sent


class TestAwaiting:
    def test_a_waiting_return_has_the_token_of_its_workflow(self, returns: Returns) -> None:
        returns.requested()
        token = returns.ask()
        stored = returns.table.one("return")
        assert (stored["state"], stored["task_token"]) == ("awaiting", token)
        assert returns.service.waiting == [token]

    def test_the_last_token_counts(self, returns: Returns) -> None:
        """The task is retried, or a second task waits after the escalation."""
        returns.requested()
        first, second = returns.ask(), returns.ask()
        returns.decide()
        returns.resume()
        assert list(returns.service.answers) == [second]
        assert first != second

    def test_staff_see_waiting_returns_with_the_oldest_first(self, returns: Returns) -> None:
        for number in (2, 1, 3):
            with time_machine.travel(START + timedelta(hours=number), tick=False):
                returns.awaiting(ORDERS[number])
        found = returns.waiting().json["returns"]
        assert [each["order_id"] for each in found] == [*ORDERS[1:4]]
        assert found[0] == {
            "order_id": ORDERS[1],
            "state": "awaiting",
            "reason": "unwanted",
            "requested_at": "2026-01-05T09:00:00Z",
            "reviewer": None,
            "escalated_at": None,
            "decision": None,
        }

    def test_only_returns_that_wait_for_a_decision_are_listed(self, returns: Returns) -> None:
        returns.requested(ORDERS[1])
        returns.awaiting(ORDERS[2])
        returns.awaiting(ORDERS[3])
        returns.decide(ORDERS[2])
        assert [each["order_id"] for each in returns.waiting().json["returns"]] == [ORDERS[3]]

    def test_the_list_has_a_maximum_length(self, returns: Returns, cloud: Cloud) -> None:
        cloud.monkeypatch.setattr("lambdas.returns.list_returns.PAGE", 2)
        for number in range(3):
            returns.awaiting(ORDERS[number])
        assert len(returns.waiting().json["returns"]) == 2

    @pytest.mark.parametrize(
        ("account", "code"), [("customer-1", "own_order"), (None, "customer_not_named")]
    )
    @pytest.mark.parametrize("repeated", [False, True])
    def test_staff_cannot_handle_the_return_of_their_own_order(
        self, returns: Returns, account: str | None, code: str, repeated: bool
    ) -> None:
        """Nor without a statement in their token about their own customer account."""
        returns.awaiting()
        if repeated:
            returns.decide()
        before = returns.table.items()
        for found in (returns.review(account=account), returns.decide(account=account)):
            assert (found.status, found.json["code"]) == (403, code)
        assert returns.table.items() == before
        assert returns.service.heartbeats == []

    def test_staff_who_are_customers_can_handle_the_returns_of_others(
        self, returns: Returns
    ) -> None:
        returns.awaiting()
        assert returns.review(account="customer-2").status == 200
        assert returns.decide(account="customer-2").status == 200

    def test_returns_that_an_earlier_release_stored_go_on(self, returns: Returns) -> None:
        returns.requested()
        returns.table.as_stored_earlier("return", "revision", "decider")
        returns.ask()
        returns.table.as_stored_earlier("return", "revision", "decider")
        assert len(returns.waiting().json["returns"]) == 1
        assert returns.review().status == 200
        returns.table.as_stored_earlier("return", "revision", "decider")
        assert returns.decide().status == 200
        assert returns.table.one("return")["decider"] == "staff-1"
        assert returns.waiting().json["returns"] == []
        returns.table.as_stored_earlier("return", "revision")
        returns.complete()
        assert returns.state() == "returned"

    @pytest.mark.parametrize("approved", [True, False])
    def test_text_in_a_return_of_an_earlier_release_becomes_a_general_reason(
        self, returns: Returns, approved: bool
    ) -> None:
        returns.awaiting()
        returns.decide(approved=approved)
        stored = returns.table.one("return")
        earlier = {"approved": approved, "note": "Ada is right"}
        returns.table.put({**stored, "reason": "write to Ada", "decision": earlier})
        (found,) = returns.page().json["returns"]
        assert found["reason"] == "other"
        assert found["decision"] == {"approved": approved, "reason": None}
        if not approved:
            returns.refuse()
            (refused,) = returns.events(ReturnRefused)
            assert isinstance(refused, ReturnRefused)
            assert refused.reason is RefusalReason.CONDITIONS_NOT_MET


class TestReview:
    def test_a_review_stores_the_reviewer_and_sends_a_heartbeat(self, returns: Returns) -> None:
        returns.requested()
        token = returns.ask()
        found = returns.review(caller="staff-7")
        assert (found.status, found.json["reviewer"]) == (200, "staff-7")
        assert returns.service.heartbeats == [token]
        assert returns.waiting().json["returns"][0]["reviewer"] == "staff-7"

    def test_a_return_that_does_not_wait_for_a_decision_cannot_be_reviewed(
        self, returns: Returns
    ) -> None:
        returns.requested()
        assert returns.review().json["code"] == "not_awaiting"
        returns.ask()
        returns.decide()
        assert returns.review().status == 409

    def test_a_return_cannot_be_reviewed_between_two_waits_of_its_workflow(
        self, returns: Returns
    ) -> None:
        returns.requested()
        returns.service.give_up(returns.ask())
        assert returns.review().status == 409

    def test_an_unknown_return_cannot_be_reviewed_or_decided(self, returns: Returns) -> None:
        for found in (returns.review(ORDERS[9]), returns.decide(ORDERS[9]), returns.decide("#")):
            assert (found.status, found.json["code"]) == (404, "unknown_return")


class TestDecide:
    @pytest.mark.parametrize("approved", [True, False])
    def test_the_workflow_gets_the_decision(self, returns: Returns, approved: bool) -> None:
        returns.awaiting()
        found = returns.decide(approved=approved)
        assert found.status == 200
        reason = None if approved else RefusalReason.USED
        assert found.json["decision"] == {"approved": approved, "reason": reason}
        assert returns.resume() == []
        assert answer(returns) == {"approved": approved}
        assert returns.events(ReturnDecided) == [
            ReturnDecided(
                order_id=ORDER, customer_id="customer-1", approved=approved, reason=reason
            )
        ]

    def test_the_decision_and_its_event_are_committed_together(
        self, returns: Returns, commits: Commits
    ) -> None:
        returns.awaiting()
        before = commits.count
        returns.decide()
        assert commits.count == before + 1

    def test_the_decider_is_stored_and_not_published(self, returns: Returns) -> None:
        returns.awaiting()
        returns.decide()
        assert returns.table.one("return")["decider"] == "staff-1"
        (envelope,) = returns.table.envelopes(ReturnDecided)
        assert "staff-1" not in envelope.to_json()

    def test_the_decision_is_recorded_with_its_time_and_decider(self, returns: Returns) -> None:
        returns.awaiting()
        with time_machine.travel(START, tick=False):
            returns.decide(approved=False, caller="staff-7")
        record = returns.table.one("decision")
        assert record == {
            "pk": f"DECISION#{ORDER}",
            "sk": "DECISION",
            "kind": "decision",
            "order_id": ORDER,
            "approved": False,
            "decided_by": "staff-7",
            "decided_at": START.isoformat(),
        }
        returns.decide(caller="staff-8")
        returns.decide(approved=False, caller="staff-8")
        returns.refuse()
        assert returns.table.one("decision") == record

    def test_a_recorded_decision_is_never_overwritten(self, returns: Returns) -> None:
        """Not even if the return is, contrary to its rules, undecided again."""
        returns.awaiting()
        undecided = returns.table.one("return")
        returns.decide(caller="staff-7")
        returns.table.put(undecided)
        with pytest.raises(Contention):
            returns.decide(approved=False, caller="staff-8")
        assert returns.table.one("decision")["decided_by"] == "staff-7"
        assert returns.state() == "awaiting"

    def test_a_repeated_decision_has_the_same_effect_as_once(self, returns: Returns) -> None:
        returns.awaiting()
        first, second = returns.decide(), returns.decide()
        assert first == second
        assert len(returns.events(ReturnDecided)) == 1

    @pytest.mark.parametrize("change", [{"approved": True}, {"reason": "incomplete"}], ids=str)
    def test_the_first_decision_stands(self, returns: Returns, change: dict[str, Any]) -> None:
        returns.awaiting()
        returns.decide(approved=False)
        found = returns.decide(**{"approved": False, **change})
        assert (found.status, found.json["code"]) == (409, "not_awaiting")
        assert len(returns.events(ReturnDecided)) == 1

    def test_the_first_of_two_concurrent_decisions_stands(
        self, returns: Returns, commits: Commits
    ) -> None:
        returns.awaiting()
        commits.before(1, lambda: returns.decide(approved=False))
        assert returns.decide(approved=True).status == 409
        returns.resume()
        assert answer(returns) == {"approved": False}

    def test_a_return_cannot_be_decided_before_its_workflow_waits(self, returns: Returns) -> None:
        returns.requested()
        assert returns.decide().status == 409
        assert returns.state() == "requested"

    @pytest.mark.parametrize(
        "body",
        [
            {"approved": "yes"},
            {"approved": 1},
            {"approved": None, "reason": "used"},
            {"reason": "used"},
            {"approved": False, "reason": ""},
            {"approved": False, "reason": None},
            {"approved": False, "reason": "not_reviewed"},
            {"note": "as agreed"},
            {"more": 1},
        ],
        ids=str,
    )
    def test_a_body_that_is_not_a_decision_is_rejected(
        self, returns: Returns, body: dict[str, Any]
    ) -> None:
        returns.awaiting()
        assert returns.decide(**body).status == 400
        assert returns.state() == "awaiting"

    @pytest.mark.parametrize("reason", ["Ada wore it", None, "not_reviewed"])
    def test_an_answer_to_a_refusal_without_a_reason_of_staff_lists_the_codes(
        self, returns: Returns, reason: str | None, capsys: pytest.CaptureFixture[str]
    ) -> None:
        returns.awaiting()
        answer = returns.decide(approved=False, reason=reason)
        assert answer.status == 400
        assert "one of used, incomplete, damaged_after_delivery, " in answer.json["detail"]
        assert "Ada wore it" not in f"{answer}{capsys.readouterr().out}"

    @pytest.mark.parametrize(
        "reason", [each for each in RefusalReason if each is not RefusalReason.NOT_REVIEWED]
    )
    def test_staff_can_refuse_a_return_for_each_reason(
        self, returns: Returns, reason: RefusalReason
    ) -> None:
        returns.awaiting()
        assert returns.decide(approved=False, reason=reason).json["decision"]["reason"] == reason


class TestAnswer:
    """The workflow's wait and the decision can overlap in any way."""

    def test_a_redelivered_event_answers_once(
        self, returns: Returns, capsys: pytest.CaptureFixture[str]
    ) -> None:
        returns.awaiting()
        returns.decide()
        assert returns.resume() == returns.resume() == []
        assert answer(returns) == {"approved": True}
        assert '"UnheardDecisions":[1.0]' in capsys.readouterr().out

    def test_a_failed_call_is_retried(self, returns: Returns, cloud: Cloud) -> None:
        def fail(**_: object) -> None:
            raise TimeoutError

        returns.awaiting()
        returns.decide()
        with cloud.monkeypatch.context() as patch:
            patch.setattr(aws.stepfunctions(), "send_task_success", fail)
            assert returns.resume() == ["m1"]
        assert returns.resume() == []
        assert answer(returns) == {"approved": True}

    def test_a_decision_between_two_waits_answers_the_second(self, returns: Returns) -> None:
        returns.requested()
        returns.service.give_up(returns.ask())
        returns.decide()
        assert returns.resume() == []
        assert returns.service.answers == {}
        second = returns.ask()
        assert returns.service.answers == {second: {"approved": True}}

    @pytest.mark.parametrize("when", ["before", "after"])
    def test_a_decision_while_the_second_wait_begins_answers_it(
        self, returns: Returns, commits: Commits, when: str
    ) -> None:
        returns.requested()
        returns.service.give_up(returns.ask())
        getattr(commits, when)(1, returns.decide)
        second = returns.ask()
        returns.resume()
        assert returns.service.answers == {second: {"approved": True}}

    def test_a_wait_that_crashes_at_its_start_is_retried(
        self, returns: Returns, commits: Commits
    ) -> None:
        returns.requested()
        commits.after(1, crash)
        with pytest.raises(Crash):
            returns.ask()
        token = returns.ask()
        returns.decide()
        returns.resume()
        assert returns.service.answers == {token: {"approved": True}}

    def test_after_a_crash_after_the_commit_the_event_answers_the_workflow(
        self, returns: Returns, commits: Commits
    ) -> None:
        returns.awaiting()
        commits.after(1, crash)
        with pytest.raises(Crash):
            returns.decide()
        assert returns.resume() == []
        assert answer(returns) == {"approved": True}


class TestEscalate:
    def test_an_escalation_is_counted_once_and_shown_to_staff(
        self, returns: Returns, capsys: pytest.CaptureFixture[str]
    ) -> None:
        returns.awaiting()
        returns.escalate()
        returns.escalate()
        assert capsys.readouterr().out.count('"EscalatedReturns":[1.0]') == 1
        (found,) = returns.waiting().json["returns"]
        assert found["escalated_at"]

    def test_a_decided_return_is_not_escalated(
        self, returns: Returns, capsys: pytest.CaptureFixture[str]
    ) -> None:
        returns.awaiting()
        returns.decide()
        returns.escalate()
        assert "EscalatedReturns" not in capsys.readouterr().out

    def test_a_return_decided_in_the_meantime_is_not_escalated(
        self, returns: Returns, commits: Commits, capsys: pytest.CaptureFixture[str]
    ) -> None:
        returns.awaiting()
        commits.before(1, returns.decide)
        returns.escalate()
        assert "EscalatedReturns" not in capsys.readouterr().out


class TestEnd:
    def test_a_completed_return_publishes_one_event(self, returns: Returns) -> None:
        returns.awaiting()
        returns.decide()
        returns.complete()
        returns.complete()
        assert returns.state() == "returned"
        assert returns.events(OrderReturned) == [
            OrderReturned(order_id=ORDER, customer_id="customer-1")
        ]

    def test_a_refused_return_publishes_one_event_with_the_reason(self, returns: Returns) -> None:
        returns.awaiting()
        returns.decide(approved=False, reason="used")
        returns.refuse()
        returns.refuse()
        assert returns.state() == "refused"
        assert returns.events(ReturnRefused) == [
            ReturnRefused(order_id=ORDER, customer_id="customer-1", reason=RefusalReason.USED)
        ]

    def test_a_return_without_a_decision_is_refused_as_not_reviewed(self, returns: Returns) -> None:
        returns.awaiting()
        returns.refuse()
        assert returns.events(ReturnRefused) == [
            ReturnRefused(
                order_id=ORDER, customer_id="customer-1", reason=RefusalReason.NOT_REVIEWED
            )
        ]
        assert returns.waiting().json["returns"] == []

    def test_a_refused_return_cannot_be_decided(self, returns: Returns) -> None:
        returns.awaiting()
        returns.refuse()
        assert returns.decide().status == 409
        assert returns.state() == "refused"

    @pytest.mark.parametrize("approved", [True, False])
    def test_a_decision_during_the_refusal_stands(
        self, returns: Returns, commits: Commits, approved: bool
    ) -> None:
        returns.awaiting()
        commits.before(1, lambda: returns.decide(approved=approved))
        if approved:
            with pytest.raises(ApprovalStands):
                returns.refuse()
            assert returns.events(ReturnRefused) == []
        else:
            returns.refuse()
            assert returns.table.one("return")["decision"]["reason"] == "used"

    @pytest.mark.parametrize("step", ["complete", "refuse"])
    @pytest.mark.parametrize("when", ["before", "after"])
    def test_a_crashed_step_is_completed_by_the_next_attempt(
        self, returns: Returns, commits: Commits, step: str, when: str
    ) -> None:
        returns.awaiting()
        returns.decide(approved=step == "complete")
        getattr(commits, when)(1, crash)
        with pytest.raises(Crash):
            getattr(returns, step)()
        getattr(returns, step)()
        assert len(returns.events(OrderReturned)) + len(returns.events(ReturnRefused)) == 1

    def test_a_second_execution_of_an_ended_return_changes_nothing(self, returns: Returns) -> None:
        """An event that is redelivered after 90 days can start one."""
        returns.awaiting()
        returns.decide()
        returns.complete()
        token = returns.ask()
        assert returns.service.answers[token] == {"approved": True}
        returns.complete()
        assert returns.state() == "returned"
        assert len(returns.events(OrderReturned)) == 1
