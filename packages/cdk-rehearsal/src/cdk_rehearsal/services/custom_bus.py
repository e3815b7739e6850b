"""Custom Event Buses: the API `eventbridgev2`, which moto lacks, with buses and their events."""

import hashlib
import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from cdk_rehearsal.core import Core
from cdk_rehearsal.errors import RehearsalError
from cdk_rehearsal.limits import LIMITS
from cdk_rehearsal.sandbox.patching import Patches
from cdk_rehearsal.services.bus_events import ENVELOPE, BusEvent, Evaluate, compact, payload_of
from cdk_rehearsal.services.bus_log import Bus, Seen, epoch, moment
from cdk_rehearsal.services.bus_sources import EventSources
from cdk_rehearsal.services.deliveries import DeliveryFailed
from cdk_rehearsal.services.event_bus import EventBus
from cdk_rehearsal.services.invocation import LambdaService
from cdk_rehearsal.services.own_apis import ApiError, Operation, answer, invalid
from cdk_rehearsal.services.queues import Queues
from cdk_rehearsal.services.sns import Topics
from cdk_rehearsal.services.streams import Streams
from cdk_rehearsal.services.subscriber_targets import Targets, failed
from cdk_rehearsal.services.subscriptions import Subscriptions, new_arn
from cdk_rehearsal.services.texts import iso_milliseconds, iso_seconds
from cdk_rehearsal.spool import Spooled

# https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-ordering.html
REMEMBERED_S = 300.0

_KEPT = 1_024
"""The events of a bus that stay in memory at least."""


class CustomBuses:
    """All Custom Event Buses of an account, and their subscribers."""

    def __init__(
        self,
        core: Core,
        lambdas: LambdaService,
        queues: Queues,
        streams: Streams,
        topics: Topics,
        classic: EventBus,
        evaluate: Evaluate,
    ) -> None:
        """``evaluate`` returns the values of JSONata expressions."""
        self._core = core
        self._buses: dict[str, Bus] = {}
        self._tokens: dict[str, tuple[str, dict[str, Any]]] = {}
        self._tags: dict[str, dict[str, str]] = {}
        targets = Targets(
            *(core, lambdas, queues, streams, topics, evaluate),
            forward=self._forward,
            classic=lambda arn, event: classic.take_forwarded(arn, event.data),
        )
        self.subscribers = Subscriptions(core, targets, self._bus, self._once)
        self.sources = EventSources(core, self.take, self._once_on_a_bus)
        classic.listeners.append(self.sources.hear)
        self._operations: Mapping[str, Operation] = {
            "CreateEventBus": self._create_event_bus,
            "DeleteEventBus": self._delete_event_bus,
            "DeleteResourcePolicy": self._delete_resource_policy,
            "DescribeEventBus": self._describe_event_bus,
            "GetResourcePolicy": self._get_resource_policy,
            "ListEventBuses": self._list_event_buses,
            "ListTagsForResource": self._list_tags,
            "PutEvents": self._put_events,
            "PutRawEvents": self._put_raw_events,
            "PutResourcePolicy": self._put_resource_policy,
            "TagResource": self._tag,
            "UntagResource": self._untag,
            "UpdateEventBus": self._update_event_bus,
        }

    def __contains__(self, arn: str) -> bool:
        return arn in self._buses

    def retained(self, arn: str) -> list[Any]:
        """Returns the payloads of the events that a bus retains, oldest first."""
        now = self._core.scheduler.now()
        return [event.data for event in self._buses[arn].since(0, now)]

    def install(self, patches: Patches) -> None:
        """Answers the API `eventbridgev2`."""
        operations = {
            **self._operations,
            **self.subscribers.operations,
            **self.sources.operations,
        }
        self._core.apis["eventbridgev2"] = partial(answer, self._core, operations)

    # -- buses ----------------------------------------------------------------------------

    def _bus(self, arn: str) -> Bus:
        if arn not in self._buses:
            raise ApiError("ResourceNotFoundException", f"Event bus {arn} does not exist.")
        return self._buses[arn]

    def _once(self, parameters: dict[str, Any], create: Callable[[], str]) -> str:
        """Creates a resource, or returns the ARN of that with the same token.

        https://docs.aws.amazon.com/eventbridgev2/latest/APIReference/API_CreateEventBus.html
        """
        token = parameters.get("ClientToken")
        known = self._tokens.get(token) if token else None
        if known is None:
            arn = create()
            if token:
                self._tokens[token] = (arn, parameters)
            self._tags[arn] = dict(parameters.get("Tags", {}))
            return arn
        if known[1] != parameters:
            raise ApiError(
                "IdempotentParameterMismatchException",
                "The client token was used with different parameters.",
            )
        return known[0]

    def _once_on_a_bus(self, parameters: dict[str, Any], create: Callable[[], str]) -> str:
        self._bus(parameters["EventBusArn"])
        return self._once(parameters, create)

    def _create_event_bus(self, parameters: dict[str, Any]) -> dict[str, Any]:
        name = parameters["Name"]

        def create() -> str:
            if any(bus.name == name for bus in self._buses.values()):
                raise ApiError("ResourceAlreadyExistsException", f"Event bus {name} exists.")
            if (count := len(self._buses)) >= LIMITS["eventbridgev2.buses"]:
                raise ApiError("LimitExceededException", f"There are {count} event buses.")
            arn = new_arn(self._core, "event-busv2", name)
            now = self._core.scheduler.now()
            events: Spooled[BusEvent] = Spooled(self._core.spool, _KEPT)
            self._buses[arn] = Bus(name, arn, _days(parameters), now, dict(parameters), events)
            return arn

        return self._described(self._buses[self._once(parameters, create)])

    def _update_event_bus(self, parameters: dict[str, Any]) -> dict[str, Any]:
        bus = self._bus(parameters["EventBusArn"])
        bus.stated |= parameters
        bus.days = _days(bus.stated)
        return self._described(bus)

    def _delete_event_bus(self, parameters: dict[str, Any]) -> dict[str, Any]:
        bus = self._bus(parameters["EventBusArn"])
        if any(not each.revoked for each in self.subscribers.of(bus.arn)):
            raise ApiError("ResourceInUseException", f"{bus.arn} has subscribers.")
        if self.sources.of(bus.arn):
            raise ApiError("ResourceInUseException", f"{bus.arn} has event sources.")
        del self._buses[bus.arn]
        self._core.access.own_policies.pop(bus.arn, None)
        self._core.access.forget()
        return {}

    def _describe_event_bus(self, parameters: dict[str, Any]) -> dict[str, Any]:
        return self._described(self._bus(parameters["EventBusArn"]))

    def _list_event_buses(self, parameters: dict[str, Any]) -> dict[str, Any]:
        prefix = parameters.get("NamePrefix", "")
        found = [self._described(bus) for bus in self._buses.values()]
        return {"EventBuses": [each for each in found if each["Name"].startswith(prefix)]}

    def _described(self, bus: Bus) -> dict[str, Any]:
        # Buses are ready at once: the time that AWS takes is not documented.
        start = bus.window_start(self._core.scheduler.now())
        names = ("Description", "EncryptionConfiguration")
        stated: dict[str, Any] = {n: bus.stated[n] for n in names if n in bus.stated}
        return {
            "EventBusArn": bus.arn,
            "Name": bus.name,
            **stated,
            "StorageConfiguration": {
                "RetentionPeriodInDays": bus.days,
                "RetentionWindowStartTime": moment(start),
            },
            "State": "ACTIVE",
            "CreationTime": moment(bus.created),
        }

    # -- events ---------------------------------------------------------------------------

    def _put_events(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """https://docs.aws.amazon.com/eventbridgev2/latest/APIReference/API_PutEvents.html."""
        return self._publish(parameters, self._enveloped)

    def _put_raw_events(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """https://docs.aws.amazon.com/eventbridgev2/latest/APIReference/API_PutRawEvents.html."""
        return self._publish(parameters, self._raw)

    def _publish(
        self, parameters: dict[str, Any], read: Callable[[dict[str, Any]], tuple[Any, ...]]
    ) -> dict[str, Any]:
        bus = self._bus(parameters["EventBusArn"])
        by_content = "DeduplicationConfiguration" in parameters
        results: list[dict[str, Any]] = []
        for entry in parameters["Entries"]:
            try:
                data, text, system, content = read(entry)
            except ValueError as error:
                results.append({"ErrorCode": "VALIDATION_ERROR", "ErrorMessage": str(error)})
                continue
            stated = dict(entry.get("SystemMetadata", {}))
            key = hashlib.sha256(content).hexdigest() if by_content else None
            key = key or stated.get("DeduplicationId")
            earlier = self._repeated(bus, stated.get("EventGroupId", ""), key)
            if earlier is None:
                metadata = dict(entry.get("Metadata", {}))
                event = self._accept(bus, data, text, {**stated, **system}, metadata)
                new = Seen(event.ingested, event.id, event.system["aws:SequenceNumber"])
                if key is not None:
                    bus.seen[stated.get("EventGroupId", ""), key] = new
            results.append(
                {
                    "EventId": (earlier or new).id,
                    "SequenceNumber": (earlier or new).number,
                    "SuccessCode": "PUBLISHED" if earlier is None else "DEDUPLICATED",
                }
            )
        self.subscribers.notify(bus)
        count = sum("ErrorCode" in result for result in results)
        return {"FailedEntryCount": count, "Entries": results}

    def _repeated(self, bus: Bus, group: str, key: str | None) -> Seen | None:
        """Returns the event that an entry repeats, if it came within the last five minutes.

        https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-ordering.html
        """
        forgotten = self._core.scheduler.now() - REMEMBERED_S
        while bus.seen and next(iter(bus.seen.values())).ingested <= forgotten:
            bus.seen.popitem(last=False)
        return bus.seen.get((group, key)) if key is not None else None

    def _enveloped(self, entry: dict[str, Any]) -> tuple[Any, str, dict[str, str], bytes]:
        """Returns the payload of an entry of PutEvents: the envelope that subscribers get."""
        if entry["Source"].startswith("aws."):
            raise ValueError(f"Source {entry['Source']} has the prefix aws., which is reserved")
        try:
            detail = json.loads(entry.get("Detail") or "{}")
        except ValueError:
            raise ValueError("Detail is not valid JSON") from None
        core, stated = self._core, entry.get("Time")
        time = core.scheduler.now() if stated is None else epoch(stated)
        envelope = {
            "version": "0",
            "id": core.new_id(),
            "detail-type": entry["DetailType"],
            "source": entry["Source"],
            "account": core.account,
            "time": iso_seconds(time),
            "region": core.region,
            "resources": list(entry.get("Resources", [])),
            "detail": detail,
        }
        system = {
            "ContentType": ENVELOPE,
            "aws:EventId": str(envelope["id"]),
            "aws:Source": entry["Source"],
            "aws:DetailType": entry["DetailType"],
        }
        content = compact([entry["Source"], entry["DetailType"], detail, envelope["resources"]])
        return envelope, compact(envelope), system, content.encode()

    def _raw(self, entry: dict[str, Any]) -> tuple[Any, str, dict[str, str], bytes]:
        """Returns the payload of an entry of PutRawEvents.

        https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-open-formats.html
        """
        kind = entry["SystemMetadata"]["ContentType"]
        given = entry["Data"]
        content = given.encode() if isinstance(given, str) else bytes(given)
        if kind in ("application/avro", "application/protobuf"):
            raise RehearsalError(
                f"the rehearsal decodes no events of the content type {kind}: publish them as "
                "application/json or application/octet-stream"
            )
        try:
            data, text = payload_of(kind, content)
        except ValueError:
            raise ValueError(f"Data is not valid {kind}") from None
        return data, text, {"aws:EventId": self._core.new_id()}, content

    def _accept(
        self,
        bus: Bus,
        data: Any,
        text: str,
        system: dict[str, str],
        metadata: Mapping[str, str],
        passed: frozenset[str] = frozenset(),
    ) -> BusEvent:
        core, now = self._core, self._core.scheduler.now()
        stamped = {
            **system,
            "aws:IngestionTime": iso_milliseconds(now),
            "aws:SequenceNumber": f"{bus.numbered:020}",
        }
        event = BusEvent(
            bus.numbered, now, data, text, stamped, metadata, passed | frozenset({bus.arn})
        )
        bus.events.append(event)
        shown = data if isinstance(data, dict) else {"data": data}
        core.meter.add("published", core.caller(), core.path_of(bus.arn), event=shown)
        return event

    def take(self, arn: str, event: dict[str, Any]) -> None:
        """Takes an event that a rule of a classic bus forwards; DeliveryFailed without the bus.

        It is a new event, with an id of its own.
        https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-target-bus.html
        """
        if arn not in self._buses:
            raise DeliveryFailed("NO_RESOURCE", f"no event bus {arn}")
        bus = self._buses[arn]
        system = {
            "ContentType": ENVELOPE,
            "aws:EventId": self._core.new_id(),
            "aws:Source": str(event.get("source", "")),
            "aws:DetailType": str(event.get("detail-type", "")),
        }
        self._accept(bus, event, compact(event), system, {})
        self.subscribers.notify(bus)

    def _forward(self, arn: str, event: BusEvent, stamped: Mapping[str, Any], text: str) -> None:
        if arn not in self._buses:
            raise failed("RESOURCE_NOT_FOUND", f"EventBridge could not access {arn}.")
        bus = self._buses[arn]
        kept = ("ContentType", "aws:Source", "aws:DetailType")
        system = {name: event.system[name] for name in kept if name in event.system}
        system |= {**stamped["system"], "aws:EventId": self._core.new_id()}
        data = event.data if text == event.text else json.loads(text)
        self._accept(bus, data, text, system, stamped["metadata"], event.passed)
        self.subscribers.notify(bus)

    # -- policies and tags ----------------------------------------------------------------

    def _put_resource_policy(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-sharing.html."""
        bus = self._bus(parameters["ResourceArn"])
        _own_policy(parameters)
        _expect(bus, parameters)
        text = parameters["PolicyDocument"]
        if len(text.encode()) > 20_480:
            raise ApiError("PolicyLengthExceededException", "The policy is longer than 20 KB.")
        try:
            document = json.loads(text)
        except ValueError:
            raise invalid("PolicyDocument is not valid JSON") from None
        if any(map(_is_public, _statements(document))):
            raise ApiError("PublicPolicyException", "The policy would grant public access.")
        bus.policy = (text, self._core.new_id())
        self._core.access.own_policies[bus.arn] = [document]
        self._core.access.forget()
        return {"ResourceArn": bus.arn, "PolicyName": "default", "RevisionId": bus.policy[1]}

    def _get_resource_policy(self, parameters: dict[str, Any]) -> dict[str, Any]:
        bus = self._bus(parameters["ResourceArn"])
        if bus.policy is None or parameters.get("PolicyName", "default") != "default":
            raise ApiError("ResourceNotFoundException", "The policy does not exist.")
        text, revision = bus.policy
        return {
            "ResourceArn": bus.arn,
            "PolicyDocument": text,
            "PolicyName": "default",
            "RevisionId": revision,
        }

    def _delete_resource_policy(self, parameters: dict[str, Any]) -> dict[str, Any]:
        bus = self._bus(parameters["ResourceArn"])
        _own_policy(parameters)
        _expect(bus, parameters)
        former, bus.policy = bus.policy, None
        self._core.access.own_policies.pop(bus.arn, None)
        self._core.access.forget()
        return {"RevisionId": former[1]} if former else {}

    def _tagged(self, arn: str) -> dict[str, str]:
        if arn not in self._buses and arn not in self.subscribers and arn not in self.sources:
            raise ApiError("ResourceNotFoundException", f"{arn} does not exist.")
        return self._tags.setdefault(arn, {})

    def _tag(self, parameters: dict[str, Any]) -> dict[str, Any]:
        self._tagged(parameters["ResourceArn"]).update(parameters["Tags"])
        return {}

    def _untag(self, parameters: dict[str, Any]) -> dict[str, Any]:
        tags = self._tagged(parameters["ResourceArn"])
        for key in parameters["TagKeys"]:
            tags.pop(key, None)
        return {}

    def _list_tags(self, parameters: dict[str, Any]) -> dict[str, Any]:
        return {"Tags": dict(self._tagged(parameters["ResourceArn"]))}


def _own_policy(parameters: Mapping[str, Any]) -> None:
    """Raises ApiError unless a request is about the policy that the owner of a bus writes."""
    name = parameters.get("PolicyName", "default")
    if name == "AWS_RAM":
        raise ApiError("AccessDeniedException", "Only AWS RAM writes the policy AWS_RAM.")
    if name != "default":
        raise invalid(f"there is no policy {name}: use default")


def _expect(bus: Bus, parameters: Mapping[str, Any]) -> None:
    expected = parameters.get("ExpectedRevisionId")
    if expected is not None and expected != (bus.policy[1] if bus.policy else "NO_POLICY"):
        raise ApiError("ConflictException", "The policy has another revision.")


def _statements(document: Any) -> list[Any]:
    found = document.get("Statement", []) if isinstance(document, Mapping) else []
    return found if isinstance(found, list) else [found]


_OF_CONTENT = ("events:", "aws:securetransport", "aws:requestedregion")


def _is_public(statement: Mapping[str, Any]) -> bool:
    """Whether a statement admits anybody: its conditions do not limit the callers."""
    principal = statement.get("Principal")
    if isinstance(principal, Mapping):
        principal = principal.get("AWS")
    wildcard = principal == "*" or (isinstance(principal, list) and "*" in principal)
    keys = [key.lower() for test in statement.get("Condition", {}).values() for key in test]
    limited = any(not key.startswith(_OF_CONTENT) for key in keys)
    return statement.get("Effect") == "Allow" and wildcard and not limited


def _days(parameters: Mapping[str, Any]) -> int:
    """Returns how long a bus retains events, by default a day.

    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-create.html
    """
    return int(parameters.get("StorageConfiguration", {}).get("RetentionPeriodInDays", 1))
