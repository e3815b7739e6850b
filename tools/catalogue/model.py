"""The content of the pages: plain data, in the order of the pages."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cdk_rehearsal.topology import Edge


@dataclass(frozen=True, kw_only=True)
class AlarmSummary:
    """An alarm: its meaning, its condition and its page of the runbook."""

    path: str
    context: str
    meaning: str
    condition: str
    """In words, such as `Errors: sum ≥ 5 in 5 min`."""
    failure: str
    """The anchor of the runbook's page."""
    watches: tuple[str, ...]
    """Paths of the resources in its dimensions; empty for the application's own metrics."""


@dataclass(frozen=True, kw_only=True)
class Permission:
    """What a role may do with a resource."""

    actions: tuple[str, ...]
    resource: str
    """The path of a resource, or an ARN pattern in words."""
    conditions: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Condition keys, each with its permitted values."""


@dataclass(frozen=True, kw_only=True)
class FunctionPage:
    """A Lambda function."""

    path: str
    context: str
    name: str
    """The name of its module, such as `place_order`; for the kernel's relay, `relay`."""
    summary: str
    """The module's docstring."""
    description: str
    """The handler's docstring."""
    file: str
    """The module's file, relative to the project."""
    consumes: tuple[str, ...]
    publishes: tuple[str, ...]
    """The events that its handler declares to publish."""
    routes: tuple[str, ...]
    sources: tuple[Edge, ...]
    facts: tuple[tuple[str, str], ...]
    grants: tuple[Permission, ...]
    alarms: tuple[AlarmSummary, ...]


@dataclass(frozen=True, kw_only=True)
class QueuePage:
    """An SQS queue."""

    path: str
    context: str
    dead_letter: bool
    facts: tuple[tuple[str, str], ...]
    sources: tuple[Edge, ...]
    """The edges that lead to it."""
    parks: tuple[Edge, ...]
    """The edges whose undeliverable messages it receives."""
    consumer: str | None
    parking: str | None
    alarms: tuple[AlarmSummary, ...]
    redrive: str
    """The commands that redrive its messages; empty if it takes more than commands."""


@dataclass(frozen=True, kw_only=True)
class PathStep:
    """A resource on an event's path."""

    kind: str
    path: str


@dataclass(frozen=True, kw_only=True)
class DeliveryPath:
    """The path of an event to one consumer, from the first router on."""

    steps: tuple[PathStep, ...]

    @property
    def end(self) -> PathStep:
        """The consumer."""
        return self.steps[-1]


@dataclass(frozen=True, kw_only=True)
class Field:
    """A row of a schema's table."""

    name: str
    depth: int
    type: str
    required: bool
    limits: tuple[str, ...]
    description: str
    example: str


@dataclass(frozen=True, kw_only=True)
class FieldChange:
    """A difference between two versions of an event."""

    kind: str
    """`added`, `removed` or `changed`."""
    field: str
    before: str
    after: str


@dataclass(frozen=True, kw_only=True)
class Version:
    """A version of an event, with its differences from the previous one."""

    event: str
    previous: str | None
    changes: tuple[FieldChange, ...]
    breaking: tuple[str, ...]
    """The differences that would have broken a consumer: the reasons for a new version."""


@dataclass(frozen=True, kw_only=True)
class EventPage:
    """An event, from its class and the templates."""

    name: str
    """Its detail-type."""
    context: str
    source: str
    summary: str
    file: str
    when: str
    """When it is published, in Markdown, from its context's page; may be empty."""
    schema: str
    """The file of its JSON Schema, relative to the project."""
    published: bool
    """Whether it is on the bus; otherwise only its own context uses it."""
    retired: bool
    """Whether a later version replaced it, and nothing publishes it any more."""
    successor: str | None
    """The next version, if one exists."""
    ends: str | None
    """The last day on which an older version is published."""
    outside: bool
    """Whether it is for systems outside this project."""
    publishers: tuple[str, ...]
    """Paths of the functions whose handlers declare that they publish it."""
    readers: tuple[str, ...]
    """Paths of the functions that receive it from a workflow or a stream."""
    carrier: tuple[str, ...]
    """The resources through which it leaves its context, usually table, relay and bus."""
    ways: tuple[DeliveryPath, ...]
    fields: tuple[Field, ...]
    example: str
    versions: tuple[Version, ...]

    @property
    def consumers(self) -> tuple[str, ...]:
        """Paths of its consumers, without those that receive every event."""
        return tuple(dict.fromkeys(way.end.path for way in self.ways))


@dataclass(frozen=True, kw_only=True)
class WorkflowState:
    """A state of a workflow."""

    name: str
    type: str
    function: str | None
    waits: bool
    """Whether it waits for a task token from outside."""
    facts: tuple[tuple[str, str, tuple[str, ...]], ...]
    """Name, value, and the errors to which it applies."""


@dataclass(frozen=True, kw_only=True)
class Transition:
    """A transition between two states."""

    source: str
    target: str
    label: str
    failure: bool


@dataclass(frozen=True, kw_only=True)
class WorkflowPage:
    """A state machine."""

    path: str
    context: str
    kind: str
    start: str
    states: tuple[WorkflowState, ...]
    transitions: tuple[Transition, ...]
    facts: tuple[tuple[str, str], ...]
    starters: tuple[str, ...]
    alarms: tuple[AlarmSummary, ...]


@dataclass(frozen=True, kw_only=True)
class OwnedResource:
    """Another resource of a context, without a page of its own."""

    kind: str
    path: str
    context: str
    facts: tuple[tuple[str, str], ...]
    alarms: tuple[AlarmSummary, ...]


@dataclass(frozen=True, kw_only=True)
class Document:
    """A document in Markdown: the page of a context, a page of the runbook, or a decision."""

    slug: str
    title: str
    text: str
    """Markdown, without the title."""
    file: str
    """Relative to the project."""


@dataclass(frozen=True, kw_only=True)
class System:
    """The whole system. Collections are by name or path, in a stable order."""

    stage: str
    contexts: Mapping[str, str]
    """Each context's purpose."""
    events: Mapping[str, EventPage]
    functions: Mapping[str, FunctionPage]
    queues: Mapping[str, QueuePage]
    workflows: Mapping[str, WorkflowPage]
    owned: Mapping[str, OwnedResource]
    alarms: tuple[AlarmSummary, ...]
    prose: Mapping[str, Document]
    """Pages by context. Two contexts may share one."""
    failures: Mapping[str, Document]
    decisions: tuple[Document, ...]
    everything: tuple[DeliveryPath, ...] = field(default=())
    """Paths of the rules that match every event."""

    def of(self, context: str, collection: Mapping[str, Any]) -> list[Any]:
        """Returns the members of a collection that belong to a context."""
        return [thing for thing in collection.values() if thing.context == context]

    def alarms_for(self, slug: str) -> list[AlarmSummary]:
        """Returns the alarms that name a page of the runbook."""
        return [alarm for alarm in self.alarms if alarm.failure == slug]
