"""AsyncAPI 3.0 of the whole system: the event classes, and the channels of the templates.

https://www.asyncapi.com/docs/reference/specification/v3.0.0
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from cdk_rehearsal import Assembly, Resource
from cdk_rehearsal.topology import edges
from lambdas.eventing.consumer import Consumer
from lambdas.eventing.event import Event
from lambdas.eventing.stream import WindowConsumer
from stacks.schemas.events import (
    DEFINED,
    INTERNAL,
    PUBLISHED,
    context_of,
    publishers_of,
    successor_of,
)
from stacks.schemas.json_schema import Schema, envelope_example, envelope_schema
from tools.contracts.parts import SCHEMAS, Undocumented, referring, skeleton, words

_RELAY = "lambdas.eventing.relay.handler"
_NOTIFICATION = "S3EventNotification"


def asyncapi(assembly: Assembly, version: str) -> dict[str, Any]:
    """Returns the document of all events and channels. Raises Undocumented or NoExample."""
    return _System(assembly).document(version)


@dataclass(frozen=True)
class _Receiver:
    """A function that receives messages from a queue or a stream."""

    function: Resource
    source: Resource

    @property
    def handler(self) -> Any:
        module, _, attribute = self.function.properties["Handler"].rpartition(".")
        return getattr(import_module(module), attribute)

    @property
    def context(self) -> str:
        return self.function.stack.lower()

    @property
    def name(self) -> str:
        """The name of its operation, such as `orders.follow_shipment`."""
        return _handler_name(self.function)

    @property
    def events(self) -> Mapping[str, type[Event]]:
        """The events that it consumes, by detail-type; empty if it consumes other messages."""
        match self.handler:
            case Consumer() as consumer:
                return {event.detail_type(): event for event in consumer.consumes}
            case WindowConsumer() as consumer:
                standing = {name: event for name, event in PUBLISHED.items() if _stands(event)}
                return standing | {event.detail_type(): event for event in consumer.consumes}
        return {}


def _handler_name(function: Resource) -> str:
    module: str = function.properties["Handler"].rpartition(".")[0]
    return module.removeprefix("lambdas.")


class _System:
    def __init__(self, assembly: Assembly) -> None:
        self._assembly = assembly
        self._edges = edges(assembly)
        self._receivers = [
            receiver
            for mapping in assembly.of_type("AWS::Lambda::EventSourceMapping")
            if (receiver := self._receiver(mapping)).function.properties["Handler"] != _RELAY
        ]
        self._topics = assembly.of_type("AWS::SNS::Topic")

    def document(self, version: str) -> dict[str, Any]:
        contexts = sorted(
            {context_of(event) for event in DEFINED.values()}
            | {receiver.context for receiver in self._receivers}
        )
        document = skeleton("asyncapi", version=version)
        document["info"]["tags"] = [
            {"name": name, "description": words(import_module(f"lambdas.{name}"))[0]}
            for name in contexts
        ]
        document["channels"] = dict(self._channels())
        document["operations"] = dict(self._operations())
        components = document["components"]
        components["schemas"] = _schemas(DEFINED.values())
        messages = {name: _message(event) for name, event in DEFINED.items()}
        components["messages"] = {**messages, **components["messages"]}
        return document

    def _receiver(self, mapping: Resource) -> _Receiver:
        properties = mapping.properties
        return _Receiver(
            self._assembly.referred(mapping.stack, properties["FunctionName"]),
            self._assembly.referred(mapping.stack, properties["EventSourceArn"]),
        )

    # -- channels -------------------------------------------------------------------------

    def _channels(self) -> Iterator[tuple[str, dict[str, Any]]]:
        for name, event in PUBLISHED.items():
            yield name, self._event_channel(name, event)
        for topic in self._topics:
            if events := self._carried(topic):
                yield _key(topic), self._topic_channel(topic, events)
        for receiver in self._receivers:
            yield _key(receiver.source), self._source_channel(receiver)

    def _event_channel(self, name: str, event: type[Event]) -> dict[str, Any]:
        return {
            "address": name,
            "title": f"{name} on the bus",
            "description": f"Entries of the bus whose source is `{event.source}` and whose "
            f"detail-type is `{name}`.",
            "servers": [_ref("servers", "bus")],
            "messages": _messages([name]),
            "tags": [{"name": context_of(event)}],
            "x-eventbridge": {"source": event.source, "detail-type": name},
        }

    def _topic_channel(self, topic: Resource, events: Iterable[str]) -> dict[str, Any]:
        binding = {
            "name": topic.path,
            "ordering": {"type": "standard"},
            "bindingVersion": "0.1.0",
        }
        return {
            "address": topic.path,
            "title": f"Topic {topic.path}",
            "description": "The bus fills it; each subscription takes a part of it.",
            "servers": [_ref("servers", "topic")],
            "messages": _messages(events),
            "tags": [{"name": topic.stack.lower()}],
            "bindings": {"sns": binding},
            "x-fed-by": self._feeders(topic),
        }

    def _source_channel(self, receiver: _Receiver) -> dict[str, Any]:
        source = receiver.source
        is_queue = source.type == "AWS::SQS::Queue"
        channel = {
            "address": source.path,
            "title": f"{'Queue' if is_queue else 'Stream'} {source.path}",
            "servers": [_ref("servers", "queues" if is_queue else "stream")],
            "messages": _messages(receiver.events or [_NOTIFICATION]),
            "tags": [{"name": receiver.context}],
            "x-fed-by": self._feeders(source),
        }
        if is_queue:
            return {**channel, "bindings": {"sqs": self._sqs(source)}}
        (edge,) = (edge for edge in self._edges if edge.source == source.path)
        return {**channel, "x-kinesis": {"retries": edge.retries, "parksIn": edge.parking}}

    def _sqs(self, queue: Resource) -> dict[str, Any]:
        redrive = queue.properties["RedrivePolicy"]
        parking = self._assembly.referred(queue.stack, redrive["deadLetterTargetArn"])
        receives = redrive["maxReceiveCount"]
        policy = {"deadLetterQueue": {"name": parking.path}, "maxReceiveCount": receives}
        return {
            "queue": {**_queue(queue), "redrivePolicy": policy},
            "deadLetterQueue": _queue(parking),
            "bindingVersion": "0.2.0",
        }

    def _feeders(self, target: Resource) -> list[dict[str, Any]]:
        """Returns the sources of a queue, topic or stream, with their retries and parking."""
        return [
            {"kind": edge.kind, "path": edge.source, "retries": edge.retries, "parks": edge.parking}
            for edge in self._edges
            if edge.target == target.path
        ]

    def _carried(self, topic: Resource) -> list[str]:
        """Returns the events that the consumers behind a topic consume; none for alarms."""
        targets = {
            edge.target for edge in self._edges if (edge.kind, edge.source) == ("topic", topic.path)
        }
        found = (r.events for r in self._receivers if r.source.path in targets)
        return sorted({name for events in found for name in events})

    # -- operations -----------------------------------------------------------------------

    def _operations(self) -> Iterator[tuple[str, dict[str, Any]]]:
        for name, event in PUBLISHED.items():
            context = context_of(event)
            relay = self._relay(context)
            functions = [function.path for function in self._publishers(event)]
            summary = f"{context.title()} publishes {name}, through its outbox"
            operation = _operation("send", context, name, [name], summary)
            yield (
                f"{context}.publish.{name}",
                {**operation, "x-functions": functions, "x-relay": relay.path},
            )
        for name, event in INTERNAL.items():
            yield self._internal(name, event)
        for topic in self._topics:
            if events := self._carried(topic):
                yield (
                    f"{topic.stack.lower()}.fan_out.{_key(topic)}",
                    self._subscribed(topic, events),
                )
        for receiver in self._receivers:
            events = list(receiver.events) or [_NOTIFICATION]
            key, summary = _key(receiver.source), words(receiver.handler)[0]
            operation = _operation("receive", receiver.context, key, events, summary)
            yield receiver.name, {**operation, "x-function": receiver.function.path}

    def _publishers(self, event: type[Event]) -> Iterator[Resource]:
        """Yields the functions whose handlers declare that they publish the event."""
        names = publishers_of(event)
        for function in self._assembly.of_type("AWS::Lambda::Function"):
            if _handler_name(function) in names:
                yield function

    def _relay(self, context: str) -> Resource:
        for function in self._assembly.of_type("AWS::Lambda::Function"):
            if (function.properties["Handler"], function.stack.lower()) == (_RELAY, context):
                return function
        raise Undocumented(f"{context} publishes events, and has no relay")

    def _internal(self, name: str, event: type[Event]) -> tuple[str, dict[str, Any]]:
        """Returns the operation for an event that is scheduled, or put on the context's stream."""
        context = context_of(event)
        for receiver in self._receivers:
            if receiver.context == context and event in receiver.events.values():
                key = _key(receiver.source)
                summary = f"{context.title()} sends {name} to itself"
                return f"{context}.send.{name}", _operation("send", context, key, [name], summary)
        raise Undocumented(f"{name} is not published, and nothing in {context} takes it")

    def _subscribed(self, topic: Resource, events: Iterable[str]) -> dict[str, Any]:
        consumers = [
            self._subscription(subscription)
            for subscription in self._assembly.of_type("AWS::SNS::Subscription")
            if self._assembly.referred(subscription.stack, subscription.properties["TopicArn"])
            == topic
        ]
        summary = "The bus fills the topic, which hands each queue what its filter takes"
        operation = _operation("send", topic.stack.lower(), _key(topic), events, summary)
        binding = {"topic": {"name": topic.path}, "consumers": consumers, "bindingVersion": "0.1.0"}
        return {**operation, "bindings": {"sns": binding}}

    def _subscription(self, subscription: Resource) -> dict[str, Any]:
        properties = subscription.properties

        def named(value: Any) -> dict[str, str]:
            return {"name": self._assembly.referred(subscription.stack, value).path}

        parking = properties["RedrivePolicy"]["deadLetterTargetArn"]
        return {
            "protocol": properties["Protocol"],
            "endpoint": named(properties["Endpoint"]),
            "filterPolicy": properties["FilterPolicy"],
            "filterPolicyScope": properties["FilterPolicyScope"],
            "rawMessageDelivery": properties["RawMessageDelivery"],
            "redrivePolicy": {"deadLetterQueue": named(parking)},
        }


def _message(event: type[Event]) -> dict[str, Any]:
    name = event.detail_type()
    newer = successor_of(event)
    message = {
        "name": name,
        "title": name,
        "summary": words(event)[0],
        "tags": [{"name": context_of(event)}],
        "traits": [_ref("components", "messageTraits", "cloudEvent")],
        "payload": {
            "title": f"{name} as it is delivered",
            "description": "The event stands in `detail`; the bus adds fields of its own beside.",
            "type": "object",
            "properties": {
                **({} if name in INTERNAL else _bus_fields(event)),
                "detail": {"$ref": f"{SCHEMAS}{name}"},
            },
            "required": ["detail"],
        },
        "examples": [{"name": name, "payload": {"detail": envelope_example(event)}}],
    }
    if newer is None:
        return message
    return {**message, "x-superseded-by": newer.detail_type(), "x-published-until": event.ends}


def _bus_fields(event: type[Event]) -> dict[str, Schema]:
    return {
        "source": {"type": "string", "const": event.source},
        "detail-type": {"type": "string", "const": event.detail_type()},
    }


def _schemas(events: Iterable[type[Event]]) -> dict[str, Schema]:
    """Returns the schemas of the events in their envelopes, and of their parts, by name.

    Raises Undocumented if two classes of one name differ.
    """
    found: dict[str, Schema] = {}
    for event in events:
        envelope = envelope_schema(event)
        parts = {**envelope.pop("$defs"), event.detail_type(): envelope}
        for foreign in ("$schema", "$id"):
            del envelope[foreign]
        if successor_of(event):
            envelope["deprecated"] = True
        for name, part in parts.items():
            if found.setdefault(name, schema := referring(part)) != schema:
                raise Undocumented(f"two classes that differ are called {name}: rename one of them")
    return dict(sorted(found.items()))


def _operation(
    action: str, context: str, channel: str, events: Iterable[str], summary: str
) -> dict[str, Any]:
    return {
        "action": action,
        "channel": _ref("channels", channel),
        "summary": summary,
        "tags": [{"name": context}],
        "messages": [_ref("channels", channel, "messages", name) for name in events],
    }


def _queue(queue: Resource) -> dict[str, Any]:
    properties = queue.properties
    settings = {
        "visibilityTimeout": properties.get("VisibilityTimeout"),
        "receiveMessageWaitTime": properties.get("ReceiveMessageWaitTimeSeconds"),
        "messageRetentionPeriod": properties.get("MessageRetentionPeriod"),
    }
    given = {name: value for name, value in settings.items() if value is not None}
    return {"name": queue.path, "fifoQueue": properties.get("FifoQueue", False), **given}


def _messages(events: Iterable[str]) -> dict[str, dict[str, str]]:
    return {name: _ref("components", "messages", name) for name in events}


def _key(resource: Resource) -> str:
    return resource.path.replace("/", ".")


def _ref(*path: str) -> dict[str, str]:
    return {"$ref": f"#/{'/'.join(path)}"}


def _stands(event: type[Event]) -> bool:
    """Whether no newer version of the event is published beside it."""
    newer = successor_of(event)
    return newer is None or newer.detail_type() not in PUBLISHED
