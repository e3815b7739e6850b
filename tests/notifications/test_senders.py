"""Senders: each channel sends once, loses nothing, and fails independently of the others."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
import time_machine
from botocore.exceptions import ClientError

from lambdas.eventing import aws, secret
from lambdas.eventing.event import CloudEvent
from lambdas.eventing.signature import HEADER, Forged, verify
from lambdas.notifications import webhook
from lambdas.notifications.domain import CALLS_S, PERIOD_S
from lambdas.notifications.events import Channel
from lambdas.notifications.notification_store import LEASE_S
from lambdas.notifications.webhook import Forbidden, Unreachable
from lambdas.orders.events import OrderRejected, RejectionReason
from tests.notifications.context import ALL_ON, ORDER, SENDER, SENDERS, Notifications
from tests.support.cloud import Commits, Crash, crash

each_channel = pytest.mark.parametrize("channel", list(Channel))


def error(code: str, message: str = "of ada@example.com and +4930123456") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, "Send")


def refusing(code: str) -> Callable[..., None]:
    def refuse(**_: object) -> None:
        raise error(code)

    return refuse


def when_it_is_visible_again() -> time_machine.travel:
    return time_machine.travel(datetime.now(UTC) + timedelta(seconds=LEASE_S + 1))


def break_channel(notifications: Notifications, channel: Channel) -> None:
    notifications.answer = 503
    if channel is Channel.EMAIL:
        notifications.fail(aws.ses(), "send_email", error("TooManyRequestsException"))
    if channel is Channel.SMS:
        notifications.fail(aws.sns(), "publish", error("Throttling"))


@each_channel
class TestEachChannel:
    def test_it_sends_the_message_and_records_it(
        self, notifications: Notifications, channel: Channel
    ) -> None:
        notifications.prefer(**ALL_ON)
        request = notifications.request()
        assert notifications.send(channel, request) == []
        assert notifications.sent(channel) == 1
        (record,) = notifications.records()
        assert record["channel"] == channel.value
        assert (record["order_id"], record["customer_id"]) == (ORDER, "customer-1")
        assert record["occasion"] == "OrderPlaced"
        assert record["expires_at"] > datetime.now(UTC).timestamp()
        assert datetime.fromisoformat(record["at"]).tzinfo

    def test_a_redelivered_request_is_sent_once(
        self, notifications: Notifications, channel: Channel
    ) -> None:
        notifications.prefer(**ALL_ON)
        request = notifications.request()
        assert notifications.send(channel, request, request) == []
        assert notifications.send(channel, request) == []
        assert notifications.sent(channel) == 1

    def test_the_other_channels_still_send_the_request(
        self, notifications: Notifications, channel: Channel
    ) -> None:
        notifications.prefer(**ALL_ON)
        request = notifications.request()
        notifications.send(channel, request)
        for other in SENDERS:
            notifications.send(other, request)
        assert [notifications.sent(each) for each in Channel] == [1, 1, 1]
        assert len(notifications.records()) == 3

    def test_two_notifications_of_one_order_are_two_messages(
        self, notifications: Notifications, channel: Channel
    ) -> None:
        notifications.prefer(**ALL_ON)
        first = notifications.request()
        second = notifications.request(
            OrderRejected(
                order_id=ORDER, customer_id="customer-1", reason=RejectionReason.OUT_OF_STOCK
            )
        )
        assert notifications.send(channel, second, first) == []
        assert notifications.sent(channel) == 2

    def test_a_channel_disabled_in_the_meantime_sends_nothing(
        self, notifications: Notifications, channel: Channel
    ) -> None:
        notifications.prefer(**ALL_ON)
        request = notifications.request()
        notifications.prefer(**{**ALL_ON, channel.value: None})
        assert notifications.send(channel, request) == []
        assert notifications.sent(channel) == 0
        assert notifications.records() == []

    def test_a_notification_type_disabled_in_the_meantime_is_not_sent(
        self, notifications: Notifications, channel: Channel
    ) -> None:
        notifications.prefer(**ALL_ON)
        request = notifications.request()
        preference = {**ALL_ON[channel.value], "occasions": ["OrderShipped"]}
        notifications.prefer(**{channel.value: preference})
        assert notifications.send(channel, request) == []
        assert notifications.sent(channel) == 0

    def test_after_a_crash_before_sending_the_next_delivery_sends(
        self, notifications: Notifications, channel: Channel
    ) -> None:
        notifications.prefer(**ALL_ON)
        request = notifications.request()
        with notifications.cloud.monkeypatch.context() as dying:
            name = SENDERS[channel].__module__
            dying.setattr(f"{name}.notification_store.owed", lambda *_: crash())
            with pytest.raises(Crash):
                notifications.send(channel, request)
        assert notifications.send(channel, request) == []
        assert notifications.sent(channel) == 1

    def test_a_crash_between_sending_and_recording_causes_exactly_one_duplicate(
        self, notifications: Notifications, commits: Commits, channel: Channel
    ) -> None:
        notifications.prefer(**ALL_ON)
        request = notifications.request()
        commits.before(2, crash)
        with pytest.raises(Crash):
            notifications.send(channel, request)
        with when_it_is_visible_again():
            assert notifications.send(channel, request, request) == []
        assert notifications.sent(channel) == 2
        assert len(notifications.records()) == 1

    def test_a_crash_after_recording_causes_no_duplicate(
        self, notifications: Notifications, commits: Commits, channel: Channel
    ) -> None:
        notifications.prefer(**ALL_ON)
        request = notifications.request()
        commits.after(2, crash)
        with pytest.raises(Crash):
            notifications.send(channel, request)
        assert notifications.send(channel, request) == []
        assert notifications.sent(channel) == 1

    @pytest.mark.parametrize(("commit", "left"), [(1, []), (2, ["m1"])])
    def test_of_two_concurrent_deliveries_one_sends(
        self,
        notifications: Notifications,
        commits: Commits,
        channel: Channel,
        commit: int,
        left: list[str],
    ) -> None:
        """The other runs completely before the first begins, or fails until the first is done."""
        notifications.prefer(**ALL_ON)
        request = notifications.request()
        again: list[list[str]] = []
        commits.before(commit, lambda: again.append(notifications.send(channel, request)))
        assert notifications.send(channel, request) == []
        assert again == [left]
        assert notifications.send(channel, request) == []
        assert notifications.sent(channel) == 1
        assert len(notifications.records()) == 1

    def test_a_sender_that_outlasts_its_lease_is_recorded_once(
        self, notifications: Notifications, commits: Commits, channel: Channel
    ) -> None:
        """The second delivery cannot know that the first one will succeed, so it sends again."""
        notifications.prefer(**ALL_ON)
        request = notifications.request()

        def send_again() -> None:
            with when_it_is_visible_again():
                notifications.send(channel, request)

        commits.before(2, send_again)
        assert notifications.send(channel, request) == []
        assert notifications.sent(channel) == 2
        assert len(notifications.records()) == 1

    def test_a_reservation_whose_answer_is_lost_delays_no_message(
        self, notifications: Notifications, channel: Channel
    ) -> None:
        """The client repeats the reservation, and finds that it has made it."""
        notifications.prefer(**ALL_ON)
        request = notifications.request()
        with notifications.cloud.losing_answers("PutItem"):
            assert notifications.send(channel, request) == []
        assert notifications.sent(channel) == 1
        assert len(notifications.records()) == 1

    def test_a_message_that_an_earlier_release_sent_is_not_sent_again(
        self, notifications: Notifications, channel: Channel
    ) -> None:
        notifications.prefer(**ALL_ON)
        request = notifications.request()
        expires_at = int(datetime.now(UTC).timestamp()) + 60
        inbox = f"INBOX#{SENDERS[channel].name}#{request.id}"
        key = {"pk": f"ORDER#{ORDER}", "sk": f"SENT#{request.id}#{channel.value}"}
        notifications.table.put({**key, "kind": "sent", "expires_at": expires_at})
        notifications.table.put(
            {"pk": inbox, "sk": inbox, "kind": "inbox", "expires_at": expires_at}
        )
        assert notifications.send(channel, request) == []
        assert notifications.sent(channel) == 0

    def test_a_message_that_an_earlier_release_is_sending_waits_for_its_lease(
        self, notifications: Notifications, channel: Channel
    ) -> None:
        notifications.prefer(**ALL_ON)
        request = notifications.request()
        now = int(datetime.now(UTC).timestamp())
        key = {"pk": f"ORDER#{ORDER}", "sk": f"SENT#{request.id}#{channel.value}"}
        notifications.table.put({**key, "kind": "sending", "held_until": now + LEASE_S})
        assert notifications.send(channel, request) == ["m1"]
        with when_it_is_visible_again():
            assert notifications.send(channel, request) == []
        assert notifications.sent(channel) == 1

    def test_its_failure_does_not_affect_the_other_channels(
        self, notifications: Notifications, channel: Channel
    ) -> None:
        notifications.prefer(**ALL_ON)
        request = notifications.request()
        break_channel(notifications, channel)
        assert notifications.send(channel, request) == ["m1"]
        assert notifications.parked() == []
        assert notifications.records() == []
        notifications.answer = 200 if channel is not Channel.WEBHOOK else 503
        for other in set(Channel) - {channel}:
            assert notifications.send(other, request) == []
            assert notifications.sent(other) == 1
        assert {record["channel"] for record in notifications.records()} == set(Channel) - {channel}

    def test_a_failure_logs_no_address(
        self,
        notifications: Notifications,
        channel: Channel,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        notifications.prefer(**ALL_ON)
        request = notifications.request()
        break_channel(notifications, channel)
        notifications.send(channel, request)
        logged = caplog.text
        assert "event failed" in logged
        assert not [part for part in ("ada@", "4930123456", "hooks.example") if part in logged]


class TestEmail:
    def test_it_goes_from_the_shop_to_the_customer_with_the_facts(
        self, notifications: Notifications
    ) -> None:
        notifications.prefer(**ALL_ON)
        notifications.send(Channel.EMAIL, notifications.request())
        (email,) = notifications.emails()
        assert email.source == SENDER
        assert email.destinations["ToAddresses"] == ["ada@example.com"]
        assert email.subject == f"We have your order {ORDER}"
        assert "12.50 EUR" in email.body

    def test_it_goes_to_the_current_address(self, notifications: Notifications) -> None:
        notifications.prefer(**ALL_ON)
        request = notifications.request()
        notifications.prefer(email={"address": "ada@new.example.com"})
        notifications.send(Channel.EMAIL, request)
        (email,) = notifications.emails()
        assert email.destinations["ToAddresses"] == ["ada@new.example.com"]

    @pytest.mark.parametrize("code", ["MessageRejected", "BadRequestException"])
    def test_a_message_that_ses_rejects_is_parked_without_the_address(
        self, notifications: Notifications, code: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        notifications.prefer(**ALL_ON)
        request = notifications.request()
        notifications.fail(aws.ses(), "send_email", error(code))
        assert notifications.send(Channel.EMAIL, request) == []
        (reason,) = notifications.parked()
        assert code in reason
        assert "ada@" not in reason + caplog.text
        assert notifications.records() == []

    @pytest.mark.parametrize(
        "code",
        [
            "TooManyRequestsException",
            "InternalFailure",
            "ServiceUnavailable",
        ],
    )
    def test_a_transient_error_is_retried(self, notifications: Notifications, code: str) -> None:
        notifications.prefer(**ALL_ON)
        request = notifications.request()
        notifications.fail(aws.ses(), "send_email", error(code))
        assert notifications.send(Channel.EMAIL, request) == ["m1"]
        assert notifications.parked() == []

    @pytest.mark.parametrize(
        ("code", "text", "advice"),
        [
            ("AccessDeniedException", "on resource identity/ada@example.com", ""),
            ("AccountSuspendedException", "", ""),
            ("InvalidClientTokenId", "", ""),
            ("MailFromDomainNotVerifiedException", "", ""),
            ("NotFoundException", "no configuration set of ada@example.com", ""),
            ("SendingPausedException", "", ""),
            ("UnrecognizedClientException", "", ""),
            ("MessageRejected", f"Email address is not verified: {SENDER}", "the sender's address"),
            (
                "MessageRejected",
                "Email address is not verified: ada@example.com",
                "the recipient's address is not verified, and the account is in the sandbox",
            ),
        ],
    )
    def test_a_configuration_error_is_parked_at_once_without_the_address(
        self,
        notifications: Notifications,
        code: str,
        text: str,
        advice: str,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        notifications.prefer(**ALL_ON)
        request = notifications.request()
        notifications.fail(aws.ses(), "send_email", error(code, text))
        assert notifications.send(Channel.EMAIL, request) == []
        (reason,) = notifications.parked()
        assert f"SES refused SendEmail with {code}" in reason
        assert advice in reason
        assert "redrive" in reason
        assert "ada@" not in reason + caplog.text
        assert notifications.records() == []

    def test_after_a_configuration_fix_a_redrive_sends_it(
        self, notifications: Notifications
    ) -> None:
        notifications.prefer(**ALL_ON)
        request = notifications.request()
        with pytest.MonkeyPatch.context() as denying:
            denying.setattr(aws.ses(), "send_email", refusing("AccessDeniedException"))
            assert notifications.send(Channel.EMAIL, request) == []
        with when_it_is_visible_again():
            assert notifications.send(Channel.EMAIL, request) == []
        assert notifications.sent(Channel.EMAIL) == 1


class TestSms:
    def test_it_goes_to_the_phone(self, notifications: Notifications) -> None:
        notifications.prefer(**ALL_ON)
        notifications.send(Channel.SMS, notifications.request())
        ((phone, text),) = notifications.texts()
        assert phone == "+4930123456"
        assert ORDER in text

    @pytest.mark.parametrize("code", ["InvalidParameter", "InvalidParameterValue"])
    def test_a_message_that_sns_rejects_is_parked_without_the_number(
        self, notifications: Notifications, code: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        notifications.prefer(**ALL_ON)
        request = notifications.request()
        notifications.fail(aws.sns(), "publish", error(code))
        assert notifications.send(Channel.SMS, request) == []
        (reason,) = notifications.parked()
        assert code in reason
        assert "4930123456" not in reason + caplog.text

    @pytest.mark.parametrize(
        "code", ["AccessDenied", "AuthorizationError", "InvalidClientTokenId", "KMSAccessDenied"]
    )
    def test_a_configuration_error_is_parked_at_once_without_the_number(
        self, notifications: Notifications, code: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        notifications.prefer(**ALL_ON)
        request = notifications.request()
        notifications.fail(aws.sns(), "publish", error(code))
        assert notifications.send(Channel.SMS, request) == []
        (reason,) = notifications.parked()
        assert f"SNS refused Publish with {code}" in reason
        assert "redrive" in reason
        assert "4930123456" not in reason + caplog.text

    @pytest.mark.parametrize("code", ["Throttling", "Throttled", "InternalError"])
    def test_a_transient_error_is_retried(self, notifications: Notifications, code: str) -> None:
        notifications.prefer(**ALL_ON)
        request = notifications.request()
        notifications.fail(aws.sns(), "publish", error(code))
        assert notifications.send(Channel.SMS, request) == ["m1"]
        assert notifications.parked() == []


class TestWebhook:
    def test_it_receives_the_event_signed_with_its_own_secret(
        self, notifications: Notifications
    ) -> None:
        notifications.prefer(**ALL_ON)
        request = notifications.request()
        notifications.send(Channel.WEBHOOK, request)
        (call,) = notifications.calls
        assert call.url == ALL_ON["webhook"]["url"]
        assert json.loads(call.body) == json.loads(request.to_json())
        assert call.headers["content-type"] == "application/cloudevents+json"
        secret = notifications.get().json["webhook"]["signing_secret"]
        verify([secret], call.body, call.headers[HEADER], now=datetime.now(UTC))

    def test_another_customers_secret_does_not_verify_the_signature(
        self, notifications: Notifications
    ) -> None:
        notifications.prefer(**ALL_ON)
        notifications.send(Channel.WEBHOOK, notifications.request())
        (call,) = notifications.calls
        other = notifications.put(ALL_ON, caller="customer-2").json["webhook"]["signing_secret"]
        with pytest.raises(Forged):
            verify([other], call.body, call.headers[HEADER], now=datetime.now(UTC))

    def test_a_repeated_request_has_the_same_idempotency_key(
        self, notifications: Notifications, commits: Commits
    ) -> None:
        notifications.prefer(**ALL_ON)
        request = notifications.request()
        commits.before(2, crash)
        with pytest.raises(Crash):
            notifications.send(Channel.WEBHOOK, request)
        with when_it_is_visible_again():
            notifications.send(Channel.WEBHOOK, request)
        assert [call.headers["idempotency-key"] for call in notifications.calls] == [request.id] * 2

    def test_without_a_permission_for_the_secret_it_is_parked_at_once(
        self, notifications: Notifications
    ) -> None:
        notifications.prefer(**ALL_ON)
        request = notifications.request()
        secret._kept.cache_clear()
        notifications.fail(aws.secrets(), "get_secret_value", error("AccessDeniedException"))
        assert notifications.send(Channel.WEBHOOK, request) == []
        (reason,) = notifications.parked()
        assert "AccessDeniedException" in reason
        assert notifications.calls == []

    @pytest.mark.parametrize("status", [200, 201, 202, 204])
    def test_a_2xx_response_is_a_success(self, notifications: Notifications, status: int) -> None:
        notifications.prefer(**ALL_ON)
        notifications.answer = status
        assert notifications.send(Channel.WEBHOOK, notifications.request()) == []
        assert len(notifications.records()) == 1

    @pytest.mark.parametrize("answer", [408, 425, 429, 500, 502, 503, 599, Unreachable("late")])
    def test_a_transient_error_is_retried(
        self, notifications: Notifications, answer: int | Exception
    ) -> None:
        notifications.prefer(**ALL_ON)
        notifications.answer = answer
        assert notifications.send(Channel.WEBHOOK, notifications.request()) == ["m1"]
        assert notifications.parked() == []
        assert notifications.records() == []

    @pytest.mark.parametrize("answer", [301, 302, 307, 400, 401, 404, 410, Forbidden("private")])
    def test_a_permanent_error_is_parked_without_a_retry(
        self, notifications: Notifications, answer: int | Exception
    ) -> None:
        notifications.prefer(**ALL_ON)
        notifications.answer = answer
        assert notifications.send(Channel.WEBHOOK, notifications.request()) == []
        assert len(notifications.calls) == 1
        assert len(notifications.parked()) == 1
        assert notifications.records() == []


class TestSlowWebhook:
    """Calls to a customer's webhook have a limited time in each period."""

    @pytest.fixture
    def clock(self) -> Iterator[time_machine.Traveller]:
        start = datetime(2026, 1, 5, 8, tzinfo=UTC)
        with time_machine.travel(start, tick=False) as clock:
            yield clock

    @pytest.fixture
    def calls_take(
        self, notifications: Notifications, clock: time_machine.Traveller
    ) -> Callable[[float], None]:
        """Sets how long each call takes, in seconds."""
        post = webhook.post

        def take(seconds: float) -> None:
            def late(*request: Any) -> int:
                clock.shift(seconds)
                return post(*request)

            notifications.cloud.monkeypatch.setattr(webhook, "post", late)

        return take

    def request(self, notifications: Notifications, customer: str = "customer-1") -> CloudEvent:
        """Requests a notification about another order of the customer."""
        notifications.put({"webhook": ALL_ON["webhook"]}, caller=customer)
        event = OrderRejected(
            order_id=str(uuid4()), customer_id=customer, reason=RejectionReason.OUT_OF_STOCK
        )
        return notifications.request(event)

    @pytest.mark.parametrize("answer", [204, 503, Unreachable("late")])
    def test_after_its_time_is_used_up_no_call_is_made_in_this_period(
        self,
        notifications: Notifications,
        calls_take: Callable[[float], None],
        answer: int | Exception,
    ) -> None:
        calls_take(CALLS_S / 2)
        notifications.answer = answer
        for _ in range(2):
            notifications.send(Channel.WEBHOOK, self.request(notifications))
        postponed = self.request(notifications)
        assert notifications.send(Channel.WEBHOOK, postponed) == ["m1"]
        assert len(notifications.calls) == 2
        assert notifications.parked() == []

    def test_it_is_called_again_in_the_next_period(
        self,
        notifications: Notifications,
        calls_take: Callable[[float], None],
        clock: time_machine.Traveller,
    ) -> None:
        calls_take(CALLS_S)
        notifications.send(Channel.WEBHOOK, self.request(notifications))
        postponed = self.request(notifications)
        assert notifications.send(Channel.WEBHOOK, postponed) == ["m1"]
        clock.shift(PERIOD_S)
        assert notifications.send(Channel.WEBHOOK, postponed) == []
        assert len(notifications.calls) == 2

    def test_the_webhooks_of_other_customers_are_still_called(
        self, notifications: Notifications, calls_take: Callable[[float], None]
    ) -> None:
        calls_take(CALLS_S)
        notifications.send(Channel.WEBHOOK, self.request(notifications))
        other = self.request(notifications, "customer-2")
        assert notifications.send(Channel.WEBHOOK, other) == []
        assert len(notifications.calls) == 2

    def test_a_fast_webhook_is_called_as_often_as_there_are_messages(
        self, notifications: Notifications, calls_take: Callable[[float], None]
    ) -> None:
        calls_take(0.2)
        for _ in range(40):
            assert notifications.send(Channel.WEBHOOK, self.request(notifications)) == []
        assert len(notifications.calls) == 40
