"""The system as the pages of the catalogue need it: plain data, in the order of the pages."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from cdk_rehearsal.topology import Edge


@dataclass(frozen=True, kw_only=True)
class Alarm:
    """An alarm: what it says, when it fires, which page of the runbook it names."""

    path: str
    context: str
    meaning: str
    condition: str
    """In words, such as `Errors: sum ≥ 5 in 5 min`."""
    failure: str
    """Slug of the runbook's page."""
    watches: tuple[str, ...]
    """Paths of the resources in its dimensions; none if it watches a figure of the shop itself."""


@dataclass(frozen=True, kw_only=True)
class Grant:
    """What a role may do, by resource."""

    actions: tuple[str, ...]
    resource: str
    """Path of a resource, or an ARN pattern in words."""
    conditions: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Keys, each with the values that it must have."""


@dataclass(frozen=True, kw_only=True)
class Function:
    """A Lambda function."""

    path: str
    context: str
    name: str
    """What its module is called, such as `place_order`; `relay` for the kernel's."""
    summary: str
    """What its module says of itself."""
    description: str
    """What its handler says of itself."""
    file: str
    """The module's file, relative to the project."""
    consumes: tuple[str, ...]
    publishes: tuple[str, ...]
    """The events that its handler declares to publish."""
    routes: tuple[str, ...]
    sources: tuple[Edge, ...]
    facts: tuple[tuple[str, str], ...]
    grants: tuple[Grant, ...]
    alarms: tuple[Alarm, ...]


@dataclass(frozen=True, kw_only=True)
class Queue:
    """An SQS queue."""

    path: str
    context: str
    dead_letter: bool
    facts: tuple[tuple[str, str], ...]
    sources: tuple[Edge, ...]
    """What fills it."""
    parks: tuple[Edge, ...]
    """The hops that give up into it."""
    consumer: str | None
    parking: str | None
    alarms: tuple[Alarm, ...]


@dataclass(frozen=True, kw_only=True)
class Step:
    """One station on an event's way."""

    kind: str
    path: str


@dataclass(frozen=True, kw_only=True)
class Way:
    """How an event reaches one consumer, from the first router on."""

    steps: tuple[Step, ...]

    @property
    def end(self) -> Step:
        """Who gets it."""
        return self.steps[-1]


@dataclass(frozen=True, kw_only=True)
class Field:
    """A line of a schema's table."""

    name: str
    depth: int
    type: str
    required: bool
    limits: tuple[str, ...]
    description: str
    example: str


@dataclass(frozen=True, kw_only=True)
class Change:
    """One difference between two versions of an event."""

    kind: str
    """`added`, `removed` or `changed`."""
    field: str
    before: str
    after: str


@dataclass(frozen=True, kw_only=True)
class Version:
    """Another version of an event, and what the later of two neighbours changed."""

    event: str
    previous: str | None
    changes: tuple[Change, ...]
    breaking: tuple[str, ...]
    """What of it would have broken a consumer: why it is a version of its own."""


@dataclass(frozen=True, kw_only=True)
class Event:
    """An event, as its class and the templates have it."""

    name: str
    """Its detail-type."""
    context: str
    source: str
    summary: str
    file: str
    when: str
    """When it is published, as its context's page has it in Markdown; empty if it says nothing."""
    schema: str
    """The file of its JSON Schema, relative to the project."""
    published: bool
    """Whether it is on the bus; otherwise its context keeps it to itself."""
    retired: bool
    """Whether a later version took its place, and nobody publishes it any more."""
    successor: str | None
    """The next version, if there is one."""
    outside: bool
    """Whether it is meant for systems that are no part of this one."""
    publishers: tuple[str, ...]
    """Paths of the functions whose handlers declare that they publish it."""
    readers: tuple[str, ...]
    """Paths of the functions that read it, but get it from a workflow or a stream."""
    carrier: tuple[str, ...]
    """The resources that it leaves its context by: table and relay, or what else there is."""
    ways: tuple[Way, ...]
    fields: tuple[Field, ...]
    example: str
    versions: tuple[Version, ...]

    @property
    def consumers(self) -> tuple[str, ...]:
        """Paths of the resources at the ends of its ways, without those that take everything."""
        return tuple(dict.fromkeys(way.end.path for way in self.ways))


@dataclass(frozen=True, kw_only=True)
class State:
    """A state of a workflow."""

    name: str
    type: str
    function: str | None
    waits: bool
    """Whether somebody outside has to answer before it goes on."""
    facts: tuple[tuple[str, str, tuple[str, ...]], ...]
    """What each is called, what it says, and the errors to which it applies."""


@dataclass(frozen=True, kw_only=True)
class Transition:
    """An arrow between two states."""

    source: str
    target: str
    label: str
    failure: bool


@dataclass(frozen=True, kw_only=True)
class Workflow:
    """A state machine."""

    path: str
    context: str
    kind: str
    start: str
    states: tuple[State, ...]
    transitions: tuple[Transition, ...]
    facts: tuple[tuple[str, str], ...]
    starters: tuple[str, ...]
    alarms: tuple[Alarm, ...]


@dataclass(frozen=True, kw_only=True)
class Owned:
    """Anything else that a context owns and that has no page of its own."""

    kind: str
    path: str
    context: str
    facts: tuple[tuple[str, str], ...]
    alarms: tuple[Alarm, ...]


@dataclass(frozen=True, kw_only=True)
class Document:
    """A page of prose: of a context, of the runbook, or a decision."""

    slug: str
    title: str
    text: str
    """Markdown, without the title."""
    file: str
    """Relative to the project."""


@dataclass(frozen=True, kw_only=True)
class System:
    """All of it, each collection by name or path, in a stable order."""

    stage: str
    contexts: Mapping[str, str]
    """What each says of itself."""
    events: Mapping[str, Event]
    functions: Mapping[str, Function]
    queues: Mapping[str, Queue]
    workflows: Mapping[str, Workflow]
    owned: Mapping[str, Owned]
    alarms: tuple[Alarm, ...]
    prose: Mapping[str, Document]
    """By context. Two contexts may share one."""
    failures: Mapping[str, Document]
    decisions: tuple[Document, ...]
    everything: tuple[Way, ...] = field(default=())
    """Ways of rules that take every event, whoever publishes it."""

    def events_of(self, context: str) -> Iterator[Event]:
        """What a context publishes or keeps to itself."""
        return (event for event in self.events.values() if event.context == context)

    def of(self, context: str, collection: Mapping[str, Any]) -> list[Any]:
        """What of a collection belongs to a context."""
        return [thing for thing in collection.values() if thing.context == context]

    def alarms_for(self, slug: str) -> list[Alarm]:
        """The alarms that name a page of the runbook."""
        return [alarm for alarm in self.alarms if alarm.failure == slug]
