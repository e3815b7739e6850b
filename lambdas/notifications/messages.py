"""Messages: the templates of `messages.toml`, filled with the facts of a notification."""

import tomllib
from functools import cache
from pathlib import Path

import msgspec

from lambdas.eventing import text
from lambdas.eventing.consumer import Unprocessable
from lambdas.notifications.events import NotificationRequested

MAX_SMS = 160
"""Characters of the GSM alphabet in one SMS. A text with any other character is sent in UCS-2, in
parts of 67 characters. Each part is billed.
https://docs.aws.amazon.com/sms-voice/latest/userguide/sms-limitations-character.html"""

MAX_FACT = 500
MAX_FACT_IN_SMS = 40
"""Maximum Unicode code points of one fact; the rest is cut. An order's id and an amount are
shorter."""


class Message(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The message of a notification type."""

    subject: str
    email: str
    sms: str
    wording: dict[str, str] = {}
    """Codes among the facts, in words."""


@cache
def templates() -> dict[str, Message]:
    """Returns the templates by notification type, with the names of facts in braces."""
    content = Path(__file__).with_name("messages.toml").read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(content), dict[str, Message])


def message(notification: NotificationRequested) -> Message:
    """Returns the message, plain text throughout.

    Facts come from outside and can be in any script. They stay unchanged, with two exceptions: long
    ones are cut, and control characters become spaces, so that no fact can add a header or a line.
    Events of earlier releases may contain line breaks.

    Raises Unprocessable if there is no template for the notification type, or a fact is missing.
    """
    try:
        template = templates()[notification.occasion]
        facts = {
            name: text.harmless(template.wording.get(value, value))[:MAX_FACT]
            for name, value in {**notification.facts, "order_id": notification.order_id}.items()
        }
        short = {name: value[:MAX_FACT_IN_SMS] for name, value in facts.items()}
        return Message(
            subject=template.subject.format_map(facts),
            email=template.email.format_map(facts),
            sms=template.sms.format_map(short),
        )
    except KeyError as error:
        raise Unprocessable(f"no template or no fact {error} on {notification.occasion}") from error
