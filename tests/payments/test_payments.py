"""Payments: the records of shop and provider agree, despite faults."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
import time_machine

from lambdas.eventing.transaction import ConditionFailed, Contention, Transaction
from lambdas.orders.events import OrderPlacedV1
from lambdas.payments.domain import PaymentRefused
from lambdas.payments.events import (
    AuthorizationExpiring,
    DeclineReason,
    PaymentAuthorized,
    PaymentCaptured,
    PaymentDeclined,
    PaymentRefunded,
    PaymentReleased,
    PaymentUncollected,
)
from lambdas.payments.payment_store import PaymentUnavailable
from lambdas.payments.provider import NoLongerHeld, Settlement, Unavailable
from lambdas.payments.sandbox_provider import SandboxProvider
from tests.payments.context import Payments
from tests.support.cloud import Cloud, Commits, Crash, crash
from tests.support.messages import context, enveloped
from tests.support.orders import ADDRESS, line, placed

NOW = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)
IN_A_WEEK = NOW + timedelta(days=7)


class TestAuthorize:
    @time_machine.travel(NOW, tick=False)
    def test_an_approved_payment_is_authorized(self, payments: Payments) -> None:
        payments.order("tok_approve", total=2500)
        payments.authorize()
        assert payments.state() == "authorized"
        assert payments.events(PaymentAuthorized) == [
            PaymentAuthorized(
                order_id="order-1", amount_minor=2500, currency="EUR", authorized_until=IN_A_WEEK
            )
        ]
        assert payments.booked()["status"] == "authorized"
        assert payments.booked()["amount_minor"] == 2500

    def test_the_event_is_caused_by_the_placed_order(self, payments: Payments) -> None:
        payments.order("tok_approve")
        payments.authorize()
        (envelope,) = payments.table.envelopes(PaymentAuthorized)
        assert envelope.causationid == payments.placed["order-1"].id
        assert envelope.subject == "order-1"

    def test_authorizing_twice_has_the_same_effect_as_once(self, payments: Payments) -> None:
        payments.order("tok_approve")
        payments.authorize()
        payments.authorize()
        assert len(payments.events(PaymentAuthorized)) == 1
        assert payments.booked()["attempts"] == 1

    @pytest.mark.parametrize("token", ["tok_decline", "tok_unknown", "tok_flaky_", "tok_flaky_x"])
    def test_a_declined_payment_stays_declined(self, payments: Payments, token: str) -> None:
        payments.order(token)
        for _ in range(2):
            with pytest.raises(PaymentRefused, match=r"^payment_declined$"):
                payments.authorize()
        assert payments.state() == "declined"
        assert len(payments.events(PaymentDeclined)) == 1
        assert "amount_minor" not in payments.booked()
        assert payments.booked()["attempts"] == 1

    def test_a_card_whose_bank_asks_to_authenticate_is_declined_with_that_reason(
        self, payments: Payments
    ) -> None:
        payments.order("pm_card_authenticationRequired")
        for _ in range(2):
            with pytest.raises(PaymentRefused, match=r"^authentication_required$"):
                payments.authorize()
        (declined,) = payments.events(PaymentDeclined)
        assert isinstance(declined, PaymentDeclined)
        assert declined.reason is DeclineReason.AUTHENTICATION_REQUIRED
        assert "amount_minor" not in payments.booked()

    @pytest.mark.parametrize("failures", [0, 1, 3])
    def test_a_flaky_provider_approves_a_later_attempt(
        self, payments: Payments, failures: int
    ) -> None:
        payments.order(f"tok_flaky_{failures}")
        for _ in range(failures):
            with pytest.raises(PaymentUnavailable, match=r"^payment_unavailable$"):
                payments.authorize()
            assert payments.state() == "authorizing"
        payments.authorize()
        assert payments.state() == "authorized"
        assert payments.booked()["attempts"] == failures + 1

    def test_a_provider_without_a_response_leaves_the_payment_open(
        self, payments: Payments, cloud: Cloud
    ) -> None:
        payments.order("tok_timeout")
        with pytest.raises(PaymentUnavailable, match=r"^payment_unavailable$"):
            payments.authorize()
        assert cloud.pauses == [2.0]
        assert payments.state() == "authorizing"
        assert payments.table.published() == []

    def test_payments_of_different_orders_are_independent(self, payments: Payments) -> None:
        payments.order("tok_approve", "order-1", total=100)
        payments.order("tok_decline", "order-2", total=200)
        payments.authorize("order-1")
        with pytest.raises(PaymentRefused):
            payments.authorize("order-2")
        states = {item["pk"]: item["state"] for item in payments.table.items("payment")}
        assert states == {"PAYMENT#order-1": "authorized", "PAYMENT#order-2": "declined"}

    def test_a_crash_between_the_providers_approval_and_the_commit_authorizes_once(
        self, payments: Payments, commits: Commits
    ) -> None:
        payments.order("tok_approve")
        commits.before(3, crash)
        with pytest.raises(Crash):
            payments.authorize()
        assert payments.booked()["status"] == "authorized"
        assert payments.state() == "authorizing"
        payments.authorize()
        assert payments.state() == "authorized"
        assert len(payments.provider_table.items()) == 1
        assert payments.booked()["amount_minor"] == 2500
        assert len(payments.events(PaymentAuthorized)) == 1

    @pytest.mark.parametrize("number", [1, 2, 3])
    def test_a_run_after_a_crash_after_a_commit_authorizes_nothing_more(
        self, payments: Payments, commits: Commits, number: int
    ) -> None:
        payments.order("tok_approve")
        commits.after(number, crash)
        with pytest.raises(Crash):
            payments.authorize()
        payments.authorize()
        assert payments.state() == "authorized"
        assert len(payments.provider_table.items()) == len(payments.events(PaymentAuthorized)) == 1

    @pytest.mark.parametrize("number", [1, 2, 3])
    def test_two_concurrent_runs_authorize_once(
        self, payments: Payments, commits: Commits, number: int
    ) -> None:
        payments.order("tok_approve")
        commits.before(number, payments.authorize)
        payments.authorize()
        assert payments.state() == "authorized"
        assert len(payments.provider_table.items()) == len(payments.events(PaymentAuthorized)) == 1

    def test_the_payment_is_stored_before_the_provider_is_called(
        self, payments: Payments, commits: Commits
    ) -> None:
        payments.order("tok_approve")
        commits.after(1, crash)
        with pytest.raises(Crash):
            payments.authorize()
        assert payments.state() == "authorizing"
        assert payments.provider_table.items() == []


class TestDeletedPaymentData:
    def test_a_payment_without_its_means_is_refused_and_asks_for_nothing(
        self, payments: Payments
    ) -> None:
        payments.order("tok_approve")
        payments.vault.clear()
        with pytest.raises(PaymentRefused, match=r"^payment_data_deleted$"):
            payments.authorize()
        assert payments.provider_table.items() == []
        payments.refund(reason="payment_data_deleted")
        assert payments.state() == "cancelled"

    def test_money_that_the_provider_may_hold_is_released(
        self, payments: Payments, commits: Commits
    ) -> None:
        """A run crashed after the provider's answer, and the checkout ended before the next one."""
        payments.order("tok_approve")
        commits.before(3, crash)
        with pytest.raises(Crash):
            payments.authorize()
        assert payments.booked()["status"] == "authorized"
        payments.vault.clear()
        with pytest.raises(PaymentRefused):
            payments.authorize()
        assert payments.state() == "authorizing"
        payments.refund()
        assert (payments.state(), payments.booked()["status"]) == ("cancelled", "cancelled")

    def test_an_authorized_payment_needs_no_means_any_more(self, payments: Payments) -> None:
        payments.order("tok_approve")
        payments.authorize()
        payments.vault.clear()
        payments.authorize()
        assert payments.state() == "authorized"

    def test_an_event_from_before_the_vault_has_its_token_with_it(self, payments: Payments) -> None:
        order = msgspec.structs.asdict(placed(line(price=2500)))
        event = OrderPlacedV1(**order, shipping_address=ADDRESS, payment_token="tok_approve")
        payments.placed["order-1"] = enveloped(event)
        payments.authorize()
        assert payments.booked()["amount_minor"] == 2500


class TestRefund:
    def test_an_authorized_payment_is_refunded(self, payments: Payments) -> None:
        payments.order("tok_approve", total=2500)
        payments.authorize()
        payments.refund()
        assert payments.state() == "cancelled"
        assert payments.booked()["status"] == "cancelled"
        assert payments.events(PaymentReleased) == [
            PaymentReleased(order_id="order-1", amount_minor=2500, currency="EUR")
        ]

    def test_refunding_twice_has_the_same_effect_as_once(self, payments: Payments) -> None:
        payments.order("tok_approve")
        payments.authorize()
        payments.refund()
        payments.cancel()
        payments.refund()
        assert len(payments.events(PaymentReleased)) == 1

    def test_a_refunded_payment_cannot_be_authorized_again(self, payments: Payments) -> None:
        payments.order("tok_approve")
        payments.authorize()
        payments.refund(reason="cancelled")
        with pytest.raises(PaymentRefused, match=r"^cancelled$"):
            payments.authorize()
        assert payments.booked()["status"] == "cancelled"

    def test_a_refund_before_the_authorization_prevents_it(self, payments: Payments) -> None:
        payments.order("tok_approve")
        payments.cancel()
        with pytest.raises(PaymentRefused, match=r"^cancelled$"):
            payments.authorize()
        assert payments.provider_table.items() == []
        assert payments.table.published() == []

    def test_a_declined_payment_is_closed_at_the_provider(self, payments: Payments) -> None:
        payments.order("tok_decline")
        with pytest.raises(PaymentRefused):
            payments.authorize()
        assert "status" not in payments.booked()
        for _ in range(2):
            payments.refund()
        assert payments.booked()["status"] == "cancelled"
        assert payments.state() == "declined"

    def test_a_declined_payment_has_nothing_to_refund(self, payments: Payments) -> None:
        payments.order("tok_decline")
        with pytest.raises(PaymentRefused):
            payments.authorize()
        payments.refund()
        assert payments.state() == "declined"
        assert payments.events(PaymentReleased) == []

    def test_an_authorization_whose_response_was_lost_is_refunded(
        self, payments: Payments, commits: Commits
    ) -> None:
        payments.order("tok_approve")
        commits.before(3, crash)
        with pytest.raises(Crash):
            payments.authorize()
        payments.refund(reason="payment_unavailable")
        assert payments.booked()["status"] == "cancelled"
        assert payments.state() == "cancelled"
        assert len(payments.events(PaymentReleased)) == 1

    def test_an_authorization_that_never_succeeded_is_cancelled_without_a_refund(
        self, payments: Payments
    ) -> None:
        payments.order("tok_timeout")
        with pytest.raises(PaymentUnavailable):
            payments.authorize()
        payments.refund(reason="payment_unavailable")
        assert payments.state() == "cancelled"
        assert payments.events(PaymentReleased) == []

    def test_a_call_that_reaches_the_provider_after_the_refund_is_declined(
        self, payments: Payments, cloud: Cloud
    ) -> None:
        payments.order("tok_approve")
        authorize = SandboxProvider.authorize

        def late(provider: SandboxProvider, *args: object, **kwargs: object) -> None:
            cloud.monkeypatch.setattr(SandboxProvider, "authorize", authorize)
            payments.cancel()
            authorize(provider, *args, **kwargs)  # type: ignore[arg-type]

        cloud.monkeypatch.setattr(SandboxProvider, "authorize", late)
        with pytest.raises(PaymentRefused, match=r"^cancelled$"):
            payments.authorize()
        assert payments.booked()["status"] == "cancelled"
        assert "amount_minor" not in payments.booked()
        assert payments.table.published() == []

    @pytest.mark.parametrize("number", [1, 2, 3])
    def test_a_cancellation_during_an_authorization_leaves_no_money_authorized(
        self, payments: Payments, commits: Commits, number: int
    ) -> None:
        payments.order("tok_approve")
        commits.before(number, payments.cancel)
        with pytest.raises(PaymentRefused, match=r"^cancelled$"):
            payments.authorize()
        assert payments.state() == "cancelled"
        statuses = {entry.get("status") for entry in payments.provider_table.items()}
        assert "authorized" not in statuses
        assert payments.events(PaymentAuthorized) == []

    @pytest.mark.parametrize("number", [1, 2])
    def test_a_crashed_refund_is_resumed(
        self, payments: Payments, commits: Commits, number: int
    ) -> None:
        payments.order("tok_approve")
        payments.authorize()
        commits.before(number, crash)
        with pytest.raises(Crash):
            payments.refund()
        payments.refund()
        assert payments.state() == payments.booked()["status"] == "cancelled"
        assert len(payments.events(PaymentReleased)) == 1

    def test_a_payment_whose_refund_has_begun_cannot_be_authorized(
        self, payments: Payments, commits: Commits
    ) -> None:
        payments.order("tok_approve")
        payments.authorize()
        commits.after(1, crash)
        with pytest.raises(Crash):
            payments.refund(reason="out_of_stock")
        with pytest.raises(PaymentRefused, match=r"^out_of_stock$"):
            payments.authorize()

    def test_two_concurrent_refunds_refund_once(self, payments: Payments, commits: Commits) -> None:
        payments.order("tok_approve")
        payments.authorize()
        commits.before(2, payments.cancel)
        payments.refund()
        assert payments.state() == "cancelled"
        assert len(payments.events(PaymentReleased)) == 1

    def test_the_payment_of_an_expired_order_is_refunded_and_cannot_be_authorized_again(
        self, payments: Payments
    ) -> None:
        payments.order("tok_approve")
        payments.authorize()
        payments.expire()
        payments.expire()
        assert payments.booked()["status"] == "cancelled"
        assert len(payments.events(PaymentReleased)) == 1
        with pytest.raises(PaymentRefused, match=r"^expired$"):
            payments.authorize()

    def test_the_payment_of_a_returned_order_is_refunded_once_and_completely(
        self, payments: Payments
    ) -> None:
        payments.order("tok_approve", total=2500)
        payments.authorize()
        payments.give_back()
        payments.give_back()
        assert payments.state() == payments.booked()["status"] == "cancelled"
        assert payments.events(PaymentReleased) == [
            PaymentReleased(order_id="order-1", amount_minor=2500, currency="EUR")
        ]

    def test_a_refund_that_is_temporarily_unavailable_is_retried(
        self, payments: Payments, cloud: Cloud
    ) -> None:
        def unavailable(*_: object) -> bool:
            raise Unavailable("try again later")

        payments.order("tok_approve")
        payments.authorize()
        with cloud.monkeypatch.context() as patch:
            patch.setattr(SandboxProvider, "release", unavailable)
            with pytest.raises(PaymentUnavailable, match=r"^payment_unavailable$"):
                payments.give_back()
        assert payments.state() == "cancelling"
        payments.give_back()
        assert payments.booked()["status"] == "cancelled"
        assert len(payments.events(PaymentReleased)) == 1

    def test_if_a_payment_keeps_changing_the_task_raises_contention(
        self, payments: Payments, cloud: Cloud
    ) -> None:
        def refuse(transaction: Transaction) -> None:
            raise ConditionFailed(["put"])

        payments.order("tok_approve")
        cloud.monkeypatch.setattr(Transaction, "commit", refuse)
        for step in (payments.authorize, payments.refund):
            with pytest.raises(Contention, match="payment order-1 kept changing"):
                step()

    def test_payments_that_an_earlier_release_stored_go_on(
        self, payments: Payments, commits: Commits
    ) -> None:
        payments.order("tok_approve", total=2500)
        commits.after(1, crash)
        with pytest.raises(Crash):
            payments.authorize()
        payments.table.as_stored_earlier("payment", "revision", "order_id")
        payments.authorize()
        assert payments.state() == "authorized"
        payments.table.as_stored_earlier("payment", "revision", "order_id")
        payments.refund()
        assert payments.state() == payments.booked()["status"] == "cancelled"
        assert payments.events(PaymentReleased) == [
            PaymentReleased(order_id="order-1", amount_minor=2500, currency="EUR")
        ]


class TestCapture:
    @pytest.fixture(autouse=True)
    def authorized(self, payments: Payments) -> None:
        """A payment is authorized."""
        payments.order("tok_approve", total=2500)
        payments.authorize()

    def test_the_money_of_a_parcel_that_left_is_captured_once(self, payments: Payments) -> None:
        payments.ship()
        payments.ship()
        assert payments.state() == payments.booked()["status"] == "captured"
        assert payments.events(PaymentCaptured) == [
            PaymentCaptured(order_id="order-1", amount_minor=2500, currency="EUR")
        ]

    @pytest.mark.parametrize("number", [1, 2])
    def test_a_crashed_capture_is_resumed(
        self, payments: Payments, commits: Commits, number: int
    ) -> None:
        commits.before(number, crash)
        with pytest.raises(Crash):
            payments.ship()
        payments.ship()
        assert payments.state() == payments.booked()["status"] == "captured"
        assert len(payments.events(PaymentCaptured)) == 1

    def test_a_captured_payment_is_refunded_when_the_order_comes_back(
        self, payments: Payments
    ) -> None:
        payments.ship()
        payments.give_back()
        payments.give_back()
        payments.ship()
        assert payments.state() == payments.booked()["status"] == "refunded"
        assert len(payments.events(PaymentRefunded)) == 1
        assert payments.events(PaymentReleased) == []

    def test_a_capture_whose_answer_was_lost_is_published_before_its_refund(
        self, payments: Payments, commits: Commits
    ) -> None:
        commits.before(2, crash)
        with pytest.raises(Crash):
            payments.ship()
        payments.cancel()
        assert payments.state() == payments.booked()["status"] == "refunded"
        types = [each.type for each in payments.table.envelopes(PaymentCaptured)]
        types += [each.type for each in payments.table.envelopes(PaymentRefunded)]
        assert types == ["PaymentCaptured.v1", "PaymentRefunded.v1"]

    def test_a_cancelled_order_is_not_charged_although_its_parcel_left(
        self, payments: Payments
    ) -> None:
        payments.cancel()
        payments.ship()
        assert payments.state() == payments.booked()["status"] == "cancelled"
        assert payments.events(PaymentCaptured) == payments.events(PaymentUncollected) == []

    def test_a_capture_after_the_end_of_the_authorization_is_published_as_uncollected(
        self, payments: Payments
    ) -> None:
        with time_machine.travel(datetime.now(UTC) + timedelta(days=8), tick=False):
            payments.ship()
            payments.ship()
        assert payments.state() == "uncollected"
        assert len(payments.events(PaymentUncollected)) == 1
        assert payments.events(PaymentCaptured) == []

    def test_a_capture_that_gets_no_answer_is_delivered_again(
        self, payments: Payments, cloud: Cloud
    ) -> None:
        def unavailable(*_: object) -> None:
            raise Unavailable("try again later")

        with cloud.monkeypatch.context() as patch:
            patch.setattr(SandboxProvider, "capture", unavailable)
            payments.ship(failures=1)
        assert payments.state() == "capturing"
        payments.ship()
        assert payments.state() == "captured"

    def test_a_parcel_before_its_authorization_is_delivered_again(
        self, payments: Payments, commits: Commits
    ) -> None:
        payments.order("tok_timeout", "order-2")
        with pytest.raises(PaymentUnavailable):
            payments.authorize("order-2")
        payments.ship("order-2", failures=1)
        payments.ship("unknown", failures=1)


class TestExpiry:
    @pytest.mark.parametrize(
        ("hours", "published"), [(0, 0), (7 * 24 - 13, 0), (7 * 24 - 11, 1), (8 * 24, 1)]
    )
    def test_an_authorization_that_ends_within_twelve_hours_is_published_once(
        self, payments: Payments, hours: int, published: int
    ) -> None:
        payments.order("tok_approve", total=2500)
        payments.authorize()
        with time_machine.travel(datetime.now(UTC) + timedelta(hours=hours), tick=False):
            payments.sweep()
            payments.sweep()
        events = payments.events(AuthorizationExpiring)
        assert [event.order_id for event in events] == ["order-1"] * published
        assert payments.state() == "authorized"

    @pytest.mark.parametrize("end", [Payments.ship, Payments.cancel])
    def test_a_payment_that_ended_does_not_expire(
        self, payments: Payments, end: Callable[[Payments], None]
    ) -> None:
        payments.order("tok_approve")
        payments.authorize()
        end(payments)
        with time_machine.travel(datetime.now(UTC) + timedelta(days=8), tick=False):
            payments.sweep()
        assert payments.events(AuthorizationExpiring) == []

    def test_a_parcel_that_leaves_at_the_last_moment_is_paid(self, payments: Payments) -> None:
        payments.order("tok_approve")
        payments.authorize()
        with time_machine.travel(datetime.now(UTC) + timedelta(days=6, hours=20), tick=False):
            payments.sweep()
            payments.ship()
        assert payments.state() == payments.booked()["status"] == "captured"

    def test_a_sweep_goes_on_batch_by_batch_while_it_has_time_and_the_next_one_continues(
        self, payments: Payments, cloud: Cloud
    ) -> None:
        cloud.monkeypatch.setattr("lambdas.eventing.store.BATCH", 2)
        for number in range(7):
            payments.order("tok_approve", f"order-{number}")
            payments.authorize(f"order-{number}")
        for reported in (4, 7):
            left = iter([10_000, 10_000, 4_000])
            with time_machine.travel(datetime.now(UTC) + timedelta(days=7), tick=False):
                payments.sweep(context(left.__next__))
            assert len(payments.events(AuthorizationExpiring)) == reported


class TestSandboxProvider:
    """Repeated calls about one payment have the effect of one call."""

    @pytest.fixture
    def provider(self, payments: Payments) -> SandboxProvider:
        provider = SandboxProvider(payments.provider_table.name)
        assert provider.open("order", amount_minor=100, currency="EUR") == "order"
        return provider

    def test_the_first_response_is_repeated(
        self, provider: SandboxProvider, payments: Payments
    ) -> None:
        until = provider.authorize("order", token="tok_approve")
        assert provider.authorize("order", token="tok_decline") == until
        assert payments.booked()["amount_minor"] == 100

    def test_a_release_returns_what_became_of_the_money_also_when_repeated(
        self, provider: SandboxProvider
    ) -> None:
        provider.authorize("order", token="tok_approve")
        for payment_id, settlement in (
            ("order", Settlement.RELEASED),
            ("unknown", Settlement.NOTHING),
        ):
            assert provider.release(payment_id) is settlement
            assert provider.release(payment_id) is settlement

    def test_a_captured_payment_is_refunded_also_when_repeated(
        self, provider: SandboxProvider
    ) -> None:
        provider.authorize("order", token="tok_approve")
        provider.capture("order")
        provider.capture("order")
        assert provider.release("order") is Settlement.REFUNDED
        assert provider.release("order") is Settlement.REFUNDED
        with pytest.raises(NoLongerHeld):
            provider.capture("order")

    def test_two_concurrent_calls_authorize_once(
        self, provider: SandboxProvider, payments: Payments, cloud: Cloud
    ) -> None:
        change = SandboxProvider._change
        calls: list[str] = []

        def interrupted(self: SandboxProvider, key: str, expression: str, *args, **kwargs):  # type: ignore[no-untyped-def]
            calls.append(expression)
            if len(calls) == 2:
                provider.authorize("order", token="tok_approve")
            return change(self, key, expression, *args, **kwargs)

        cloud.monkeypatch.setattr(SandboxProvider, "_change", interrupted)
        with pytest.raises(Unavailable, match="under way"):
            provider.authorize("order", token="tok_approve")
        assert payments.booked()["status"] == "authorized"
