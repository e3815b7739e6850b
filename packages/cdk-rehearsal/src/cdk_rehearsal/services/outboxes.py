"""Outboxes: the text messages and e-mails that leave the application."""

import json
from dataclasses import dataclass
from typing import Any

from moto.ses.exceptions import ConfigurationSetDoesNotExist
from moto.ses.models import ses_backends
from moto.sesv2.responses import SESV2Response
from moto.sns.models import SNSBackend

from cdk_rehearsal.core import Core
from cdk_rehearsal.errors import RehearsalError
from cdk_rehearsal.sandbox.patching import Patches


@dataclass(frozen=True)
class Sms:
    """A text message of ``sender``, a function's path or ``outside``, at virtual ``time``."""

    phone_number: str
    text: str
    time: float
    sender: str


@dataclass(frozen=True)
class Email:
    """An e-mail of ``sender``, a function's path or ``outside``, at virtual ``time``.

    ``text`` and ``html`` are the two forms of its body; one that was not given is empty.
    """

    from_address: str
    to_addresses: list[str]
    subject: str
    text: str
    html: str
    configuration_set: str | None
    time: float
    sender: str


class Outboxes:
    """The messages sent through SNS and SES, in the order of time."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self.sms: list[Sms] = []
        self.email: list[Email] = []

    def install(self, patches: Patches) -> None:
        """Keeps the messages that moto accepts; moto itself checks the requests."""
        publish = SNSBackend.publish
        send_email = SESV2Response.send_email

        def published(
            backend: SNSBackend,
            message: str,
            arn: str | None,
            phone_number: str | None = None,
            **options: Any,
        ) -> str:
            message_id = publish(backend, message, arn, phone_number, **options)
            if phone_number is not None:
                self.sms.append(Sms(phone_number, message, *self._now()))
            return message_id

        def sent(response: SESV2Response) -> str:
            request = json.loads(response.body)
            self._check(request)
            answer = send_email(response)
            self.email.append(self._email(request))
            return answer

        patches.set(SNSBackend, "publish", published)
        patches.set(SESV2Response, "send_email", sent)

    def _check(self, request: dict[str, Any]) -> None:
        if "Simple" not in request["Content"]:
            raise RehearsalError("the rehearsal knows only e-mail whose content is Simple")
        name = request.get("ConfigurationSetName")
        backend = ses_backends[self._core.account][self._core.region]
        if name is not None and name not in backend.config_sets:
            raise ConfigurationSetDoesNotExist(f"Configuration set <{name}> does not exist.")

    def _email(self, request: dict[str, Any]) -> Email:
        content = request["Content"]["Simple"]
        body = content["Body"]
        return Email(
            request["FromEmailAddress"],
            request["Destination"].get("ToAddresses", []),
            content["Subject"]["Data"],
            body.get("Text", {}).get("Data", ""),
            body.get("Html", {}).get("Data", ""),
            request.get("ConfigurationSetName"),
            *self._now(),
        )

    def _now(self) -> tuple[float, str]:
        return self._core.scheduler.now(), self._core.caller()
