"""Messages: every notification type has a text for every channel, whatever the facts contain."""

from string import Formatter

import pytest

from lambdas.eventing.consumer import Unprocessable
from lambdas.notifications import messages
from lambdas.notifications.domain import OCCASIONS, Told, facts
from lambdas.notifications.events import Channel, NotificationRequested
from lambdas.notifications.messages import MAX_FACT, MAX_FACT_IN_SMS, MAX_SMS, message
from lambdas.returns.events import RefusalReason, ReturnRefused
from tests.notifications.context import ORDER, samples

# The alphabet of GSM 03.38 without line breaks and the characters that count twice.
GSM = frozenset(
    "@£$¥èéùìòÇØøÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)

PARTS = ("subject", "email", "sms")


def about(event: Told, **changed: str) -> NotificationRequested:
    return NotificationRequested(
        order_id=changed.pop("order_id", event.order_id),
        customer_id="customer-1",
        occasion=type(event).__name__,
        facts={**facts(event), **changed},
        channels=tuple(Channel),
    )


def test_exactly_the_notification_types_have_templates() -> None:
    assert list(messages.templates()) == list(OCCASIONS)


@pytest.mark.parametrize("event", samples(), ids=lambda event: type(event).__name__)
class TestEachEvent:
    @pytest.mark.parametrize("part", PARTS)
    def test_its_template_uses_only_facts_of_the_event(self, event: Told, part: str) -> None:
        template = getattr(messages.templates()[type(event).__name__], part)
        asked = {name for _, name, _, _ in Formatter().parse(template) if name is not None}
        assert asked <= {"order_id", *facts(event)}
        assert "order_id" in asked

    def test_its_email_contains_all_facts(self, event: Told) -> None:
        text = message(about(event)).email
        wording = messages.templates()[type(event).__name__].wording
        assert all(wording.get(fact, fact) in text for fact in facts(event).values())

    @pytest.mark.parametrize("letter", ["x", "ж", "件"])
    def test_a_text_message_has_a_bounded_length_however_long_the_facts(
        self, event: Told, letter: str
    ) -> None:
        """The limit is one SMS in the GSM alphabet, or three parts in UCS-2."""
        long = dict.fromkeys(facts(event), letter * 1000)
        text = message(about(event, order_id=letter * 1000, **long)).sms
        assert len(text) <= MAX_SMS

    def test_the_fixed_text_of_an_sms_uses_the_gsm_alphabet(self, event: Told) -> None:
        assert set(message(about(event)).sms) <= GSM

    @pytest.mark.parametrize(
        "fact",
        [
            "Zoë\u00a0van  der\u202fBerg",
            "والله\u200c\u200f ש\u05b8לם",
            "👩\u200d👩\u200d👧🏽 ❤\ufe0f",
            "e\u0301 \ufeff ",
            "𠮷野家\u3000",
        ],
    )
    def test_text_in_any_script_is_sent_unchanged_on_every_channel(
        self, event: Told, fact: str
    ) -> None:
        long = dict.fromkeys(facts(event), fact)
        content = message(about(event, order_id=fact, **long))
        template = messages.templates()[type(event).__name__]
        for part in PARTS:
            expected = getattr(template, part).format(order_id=fact, **long)
            assert getattr(content, part) == expected
            assert fact in expected

    def test_an_order_id_is_never_truncated(self, event: Told) -> None:
        content = message(about(event))
        assert all(ORDER in getattr(content, part) for part in PARTS)
        assert len(ORDER) <= MAX_FACT_IN_SMS

    @pytest.mark.parametrize("part", PARTS)
    def test_no_value_adds_a_line_a_header_or_a_placeholder(self, event: Told, part: str) -> None:
        evil = "x\r\nBcc: e@x.io\n\x00\u2028\u202e{customer_id}{0}%s"
        kind = message(about(event, order_id="x", **dict.fromkeys(facts(event), "x")))
        content = message(about(event, order_id=evil, **dict.fromkeys(facts(event), evil)))
        text = getattr(content, part)
        assert text.count("\n") == getattr(kind, part).count("\n")
        assert not [sign for sign in "\r\x00\u2028\u202e" if sign in text]
        assert "{" not in text.replace("{customer_id}{0}", "")

    def test_subjects_have_one_line_and_a_bounded_length(self, event: Told) -> None:
        subject = message(about(event, order_id="y" * 10_000)).subject
        assert "\n" not in subject
        assert len(subject) < MAX_FACT + 100


def test_each_reason_to_refuse_a_return_is_a_sentence() -> None:
    wording = messages.templates()["ReturnRefused"].wording
    assert list(wording) == list(RefusalReason)
    for reason in RefusalReason:
        event = ReturnRefused(order_id=ORDER, customer_id="customer-1", reason=reason)
        email = message(about(event)).email
        assert f"\n\n{wording[reason]}\n" in email
        assert "_" not in email


@pytest.mark.parametrize("changes", [{"occasion": "OrderPaid"}, {"facts": {}}])
def test_a_request_without_a_template_or_its_facts_is_unprocessable(
    changes: dict[str, object],
) -> None:
    request = {
        "order_id": ORDER,
        "customer_id": "customer-1",
        "occasion": "OrderPlaced",
        "facts": {"total": "1.00 EUR"},
        "channels": (Channel.EMAIL,),
        **changes,
    }
    with pytest.raises(Unprocessable):
        message(NotificationRequested(**request))  # type: ignore[arg-type]
