"""Payments: the records of shop and provider agree, despite faults."""

import msgspec
import pytest

from lambdas.eventing.transaction import ConditionFailed, Contention, Transaction
from lambdas.orders.events import OrderPlacedV1
from lambdas.payments.domain import PaymentRefused
from lambdas.payments.events import PaymentAuthorized, PaymentDeclined, PaymentRefunded
from lambdas.payments.payment_store import PaymentUnavailable
from lambdas.payments.provider import Unavailable
from lambdas.payments.sandbox_provider import SandboxProvider
from tests.payments.context import Payments
from tests.support.cloud import Cloud, Commits, Crash, crash
from tests.support.messages import enveloped
from tests.support.orders import ADDRESS, line, placed


class TestAuthorize:
    def test_an_approved_payment_is_authorized(self, payments: Payments) -> None:
        payments.order("tok_approve", total=2500)
        payments.authorize()
        assert payments.state() == "authorized"
        assert payments.events(PaymentAuthorized) == [
            PaymentAuthorized(order_id="order-1", amount_minor=2500, currency="EUR")
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
        commits.before(2, crash)
        with pytest.raises(Crash):
            payments.authorize()
        assert payments.booked()["status"] == "authorized"
        assert payments.state() == "authorizing"
        payments.authorize()
        assert payments.state() == "authorized"
        assert len(payments.provider_table.items()) == 1
        assert payments.booked()["amount_minor"] == 2500
        assert len(payments.events(PaymentAuthorized)) == 1

    @pytest.mark.parametrize("number", [1, 2])
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

    @pytest.mark.parametrize("number", [1, 2])
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
        commits.before(2, crash)
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
        assert payments.events(PaymentRefunded) == [
            PaymentRefunded(order_id="order-1", amount_minor=2500, currency="EUR")
        ]

    def test_refunding_twice_has_the_same_effect_as_once(self, payments: Payments) -> None:
        payments.order("tok_approve")
        payments.authorize()
        payments.refund()
        payments.cancel()
        payments.refund()
        assert len(payments.events(PaymentRefunded)) == 1

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

    def test_a_declined_payment_has_nothing_to_refund(self, payments: Payments) -> None:
        payments.order("tok_decline")
        with pytest.raises(PaymentRefused):
            payments.authorize()
        payments.refund()
        assert payments.state() == "declined"
        assert payments.events(PaymentRefunded) == []

    def test_an_authorization_whose_response_was_lost_is_refunded(
        self, payments: Payments, commits: Commits
    ) -> None:
        payments.order("tok_approve")
        commits.before(2, crash)
        with pytest.raises(Crash):
            payments.authorize()
        payments.refund(reason="payment_unavailable")
        assert payments.booked()["status"] == "cancelled"
        assert payments.state() == "cancelled"
        assert len(payments.events(PaymentRefunded)) == 1

    def test_an_authorization_that_never_succeeded_is_cancelled_without_a_refund(
        self, payments: Payments
    ) -> None:
        payments.order("tok_timeout")
        with pytest.raises(PaymentUnavailable):
            payments.authorize()
        payments.refund(reason="payment_unavailable")
        assert payments.state() == "cancelled"
        assert payments.events(PaymentRefunded) == []

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

    @pytest.mark.parametrize("number", [1, 2])
    def test_a_cancellation_during_an_authorization_leaves_no_money_authorized(
        self, payments: Payments, commits: Commits, number: int
    ) -> None:
        payments.order("tok_approve")
        commits.before(number, payments.cancel)
        with pytest.raises(PaymentRefused, match=r"^cancelled$"):
            payments.authorize()
        assert payments.state() == "cancelled"
        assert all(entry["status"] == "cancelled" for entry in payments.provider_table.items())
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
        assert len(payments.events(PaymentRefunded)) == 1

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
        assert len(payments.events(PaymentRefunded)) == 1

    def test_the_payment_of_an_expired_order_is_refunded_and_cannot_be_authorized_again(
        self, payments: Payments
    ) -> None:
        payments.order("tok_approve")
        payments.authorize()
        payments.expire()
        payments.expire()
        assert payments.booked()["status"] == "cancelled"
        assert len(payments.events(PaymentRefunded)) == 1
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
        assert payments.events(PaymentRefunded) == [
            PaymentRefunded(order_id="order-1", amount_minor=2500, currency="EUR")
        ]

    def test_a_refund_that_is_temporarily_unavailable_is_retried(
        self, payments: Payments, cloud: Cloud
    ) -> None:
        def unavailable(*_: object) -> bool:
            raise Unavailable("try again later")

        payments.order("tok_approve")
        payments.authorize()
        with cloud.monkeypatch.context() as patch:
            patch.setattr(SandboxProvider, "cancel", unavailable)
            with pytest.raises(PaymentUnavailable, match=r"^payment_unavailable$"):
                payments.give_back()
        assert payments.state() == "cancelling"
        payments.give_back()
        assert payments.booked()["status"] == "cancelled"
        assert len(payments.events(PaymentRefunded)) == 1

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
        assert payments.events(PaymentRefunded) == [
            PaymentRefunded(order_id="order-1", amount_minor=2500, currency="EUR")
        ]


class TestSandboxProvider:
    """Repeated calls with one key have the effect of one call."""

    @pytest.fixture
    def provider(self, payments: Payments) -> SandboxProvider:
        return SandboxProvider(payments.provider_table.name)

    def authorize(self, provider: SandboxProvider, token: str = "tok_approve") -> None:
        provider.authorize("key", token=token, amount_minor=100, currency="EUR")

    def test_the_first_response_for_a_key_is_repeated(
        self, provider: SandboxProvider, payments: Payments
    ) -> None:
        self.authorize(provider)
        self.authorize(provider, "tok_decline")
        assert payments.booked()["amount_minor"] == 100

    def test_cancelling_returns_whether_money_was_authorized_also_when_repeated(
        self, provider: SandboxProvider
    ) -> None:
        self.authorize(provider)
        assert provider.cancel("key") is True
        assert provider.cancel("key") is True
        assert provider.cancel("unknown") is False
        assert provider.cancel("unknown") is False

    def test_two_concurrent_calls_authorize_once(
        self, provider: SandboxProvider, payments: Payments, cloud: Cloud
    ) -> None:
        change = SandboxProvider._change
        calls: list[str] = []

        def interrupted(self: SandboxProvider, key: str, expression: str, *args, **kwargs):  # type: ignore[no-untyped-def]
            calls.append(expression)
            if len(calls) == 2:
                TestSandboxProvider().authorize(provider)
            return change(self, key, expression, *args, **kwargs)

        cloud.monkeypatch.setattr(SandboxProvider, "_change", interrupted)
        with pytest.raises(Unavailable, match="under way"):
            self.authorize(provider)
        assert payments.booked()["status"] == "authorized"
