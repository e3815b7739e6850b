"""Event sources: events of AWS services on their way to a Custom Event Bus."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cdk_rehearsal.core import Core
from cdk_rehearsal.errors import RehearsalError
from cdk_rehearsal.limits import LIMITS
from cdk_rehearsal.patterns import EventPattern, PatternError
from cdk_rehearsal.services.bus_log import moment
from cdk_rehearsal.services.own_apis import ApiError, Operation, invalid
from cdk_rehearsal.services.subscriptions import Once, new_arn


@dataclass(frozen=True, eq=False)
class _Source:
    arn: str
    stated: Mapping[str, Any]
    service: str
    pattern: EventPattern | None
    created: float


class EventSources:
    """All event sources of an account.

    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-event-sources.html
    """

    def __init__(self, core: Core, take: Callable[[str, dict[str, Any]], None], once: Once) -> None:
        """``take`` puts an event on the bus with an ARN."""
        self._core = core
        self._take = take
        self._once = once
        self._sources: dict[str, _Source] = {}
        self.operations: Mapping[str, Operation] = {
            "CreateEventSource": self._create,
            "DeleteEventSource": self._delete,
            "DescribeEventSource": self._describe,
            "ListEventSources": self._list,
        }

    def __contains__(self, arn: str) -> bool:
        return arn in self._sources

    def of(self, bus: str) -> list[_Source]:
        """Returns the sources that feed a bus."""
        return [each for each in self._sources.values() if each.stated["EventBusArn"] == bus]

    def hear(self, event: dict[str, Any]) -> None:
        """Takes an event that an AWS service has sent to the account's default bus."""
        for source in list(self._sources.values()):
            wanted = source.pattern is None or source.pattern.matches(event)
            if source.service == event["source"] and wanted:
                self._take(source.stated["EventBusArn"], event)

    def _create(self, parameters: dict[str, Any]) -> dict[str, Any]:
        return self._summary(self._sources[self._once(parameters, lambda: self._new(parameters))])

    def _new(self, parameters: dict[str, Any]) -> str:
        name = parameters["Name"]
        if any(each.stated["Name"] == name for each in self._sources.values()):
            raise ApiError("ResourceAlreadyExistsException", f"Event source {name} exists.")
        if len(self._sources) >= LIMITS["eventbridgev2.sources"]:
            message = f"There are {len(self._sources)} event sources."
            raise ApiError("LimitExceededException", message)
        configuration = parameters["Configuration"].get("AwsServiceEventsConfiguration")
        if configuration is None:
            raise RehearsalError("the rehearsal does not know event sources of partners")
        if configuration.get("OnFailureConfiguration", {}).get("Arn", "").endswith(".fifo"):
            raise invalid(
                "OnFailureConfiguration.Arn must name a standard SQS queue: FIFO queues are not "
                "supported as EventSource dead-letter queues"
            )
        arn = new_arn(self._core, "event-sourcev2/aws.service", name)
        self._sources[arn] = _Source(
            arn,
            parameters,
            configuration["AwsService"],
            _pattern(configuration.get("Pattern")),
            self._core.scheduler.now(),
        )
        return arn

    def _delete(self, parameters: dict[str, Any]) -> dict[str, Any]:
        del self._sources[self._found(parameters).arn]
        return {}

    def _describe(self, parameters: dict[str, Any]) -> dict[str, Any]:
        source = self._found(parameters)
        return {**self._summary(source), "Configuration": source.stated["Configuration"]}

    def _list(self, parameters: dict[str, Any]) -> dict[str, Any]:
        bus, prefix = parameters.get("EventBusArn"), parameters.get("NamePrefix", "")
        found = [
            {**self._summary(each), "Type": "AWS_SERVICE_EVENTS"}
            for each in self._sources.values()
            if bus in (None, each.stated["EventBusArn"]) and each.stated["Name"].startswith(prefix)
        ]
        return {"EventSources": found}

    def _found(self, parameters: Mapping[str, Any]) -> _Source:
        arn = parameters["EventSourceArn"]
        if arn not in self._sources:
            raise ApiError("ResourceNotFoundException", f"Event source {arn} does not exist.")
        return self._sources[arn]

    def _summary(self, source: _Source) -> dict[str, Any]:
        return {
            "EventSourceArn": source.arn,
            "Name": source.stated["Name"],
            "EventBusArn": source.stated["EventBusArn"],
            "State": "ACTIVE",
            "CreationTime": moment(source.created),
        }


def _pattern(text: str | None) -> EventPattern | None:
    if text is None:
        return None
    try:
        stated = json.loads(text)
        if pinned := {"source", "account", "region"} & set(stated):
            raise invalid(f"Pattern must not have {', '.join(sorted(pinned))}")
        return EventPattern(stated)
    except (PatternError, ValueError, TypeError) as error:
        raise invalid(f"Pattern: {error}") from None
