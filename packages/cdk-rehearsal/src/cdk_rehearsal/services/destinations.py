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

    def problem(self, arn: str) -> str | None:
        """Returns why nothing can be sent to an ARN, None if it can."""
        if arn.split(":")[2] in self._senders:
            return None
        known = ", ".join(sorted(self._senders))
        return f"the rehearsal does not support the destination {arn}: use one of {known}"

    def send(
        self, arn: str, body: str, *, source: str, attributes: dict[str, str] | None = None
    ) -> None:
        """Sends a text to a queue, topic, function or bus. RehearsalError for any other ARN."""
        if problem := self.problem(arn):
            raise RehearsalError(f"{source}: {problem}")
        send = self._senders[arn.split(":")[2]]
        send(arn, body, source=source, attributes=attributes)
