"""Destinations: the queues, topics and functions to which a service sends texts by ARN."""

from collections.abc import Callable

from cdk_rehearsal.core import Core
from cdk_rehearsal.errors import RehearsalError
from cdk_rehearsal.services.functions import Function

_ACTIONS = {"lambda": "lambda:InvokeFunction", "sns": "sns:Publish", "sqs": "sqs:SendMessage"}


class Destinations:
    """Sends to any ARN whose service is known; the services do not know each other."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._senders: dict[str, Callable[..., object]] = {}

    def add(self, service: str, send: Callable[..., object]) -> None:
        """Registers ``send`` for the ARNs of a service, such as ``sqs``."""
        self._senders[service] = send

    def send(
        self, arn: str, body: str, *, source: Function, attributes: dict[str, str] | None = None
    ) -> None:
        """Sends a text to a queue, topic or function, with the role of the function ``source``.

        Raises Denied if the role does not permit that, and RehearsalError for any other ARN.
        https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
        """
        service = arn.split(":")[2]
        send = self._senders.get(service)
        if send is None:
            raise RehearsalError(
                f"{source.path} has the destination {arn}, which the rehearsal does not support: "
                f"use one of {', '.join(sorted(self._senders))}"
            )
        access = self._core.access
        access.authorize(access.session(source.role, source.name), _ACTIONS[service], arn)
        send(arn, body, source=source.path, attributes=attributes)
