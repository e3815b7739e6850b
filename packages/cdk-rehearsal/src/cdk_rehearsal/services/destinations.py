"""Destinations: the queues, topics, functions and buses to which a service sends texts by ARN."""

from collections.abc import Callable

from cdk_rehearsal.errors import RehearsalError


class Destinations:
    """Sends to any ARN whose service is known; the services do not know each other."""

    def __init__(self) -> None:
        self._senders: dict[str, Callable[..., object]] = {}

    def add(self, service: str, send: Callable[..., object]) -> None:
        """Registers ``send`` for the ARNs of a service, such as ``sqs``."""
        self._senders[service] = send

    def __contains__(self, arn: str) -> bool:
        return arn.split(":")[2] in self._senders

    def send(
        self, arn: str, body: str, *, source: str, attributes: dict[str, str] | None = None
    ) -> None:
        """Sends a text to a queue, topic, function or bus. RehearsalError for any other ARN."""
        send = self._senders.get(arn.split(":")[2])
        if send is None:
            raise RehearsalError(
                f"{source} has the destination {arn}, which the rehearsal does not support: use "
                f"one of {', '.join(sorted(self._senders))}"
            )
        send(arn, body, source=source, attributes=attributes)
