"""Destinations: the queues, topics, functions and buses to which a service sends texts by ARN."""

from collections.abc import Callable

from cdk_rehearsal.core import Core
from cdk_rehearsal.errors import RehearsalError
from cdk_rehearsal.services.functions import Consumer

_ACTIONS = {
    "events": "events:PutEvents",
    "lambda": "lambda:InvokeFunction",
    "sns": "sns:Publish",
    "sqs": "sqs:SendMessage",
}


class Destinations:
    """Sends to any ARN whose service is known; the services do not know each other."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._senders: dict[str, Callable[..., object]] = {}

    def add(self, service: str, send: Callable[..., object]) -> None:
        """Registers ``send`` for the ARNs of a service, such as ``sqs``."""
        self._senders[service] = send

    def problem(self, arn: str) -> str | None:
        """Returns why nothing can be sent to an ARN, None if it can."""
        if arn.split(":")[2] in self._senders:
            return None
        known = ", ".join(sorted(self._senders))
        return f"the rehearsal does not support the destination {arn}: use one of {known}"

    def send(
        self, arn: str, body: str, *, source: Consumer, attributes: dict[str, str] | None = None
    ) -> None:
        """Sends a text to a queue, topic, function or bus, with the role of ``source``.

        Raises Denied if the role does not permit that, and RehearsalError for any other ARN.
        https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
        """
        if problem := self.problem(arn):
            raise RehearsalError(f"{source.path}: {problem}")
        service = arn.split(":")[2]
        access = self._core.access
        access.authorize(access.session(source.role, source.name), _ACTIONS[service], arn)
        self._senders[service](arn, body, source=source.path, attributes=attributes)
