"""The map of an application: its resources by stack, and their connections."""

from collections.abc import Mapping, Sequence

from msgspec import Struct


class MapNode(Struct, frozen=True):
    """A resource on the map."""

    path: str
    kind: str
    name: str
    group: str
    """The path of its stack, or empty if it is shared by all."""
    dead: bool = False
    """Whether it is a dead-letter queue."""


class MapLink(Struct, frozen=True):
    """A connection between two nodes, given by their places in the list of nodes."""

    source: int
    target: int
    kind: str
    """The kind of an asynchronous edge, or `call`."""
    site: tuple[str, str] | None = None
    """Source and target of the edge as records and faults name them."""
    retries: str | None = None
    parking: str | None = None
    alarms: Sequence[str] = ()


class MapLane(Struct, frozen=True):
    """Nodes of a stack that messages pass one after the other, and their dead-letter queues."""

    nodes: Sequence[int]
    dead: Sequence[int] = ()


class MapGroup(Struct, frozen=True):
    """A stack on the map."""

    name: str
    lanes: Sequence[MapLane]


class ApplicationMap(Struct, frozen=True):
    """The map of an application."""

    nodes: Sequence[MapNode]
    links: Sequence[MapLink]
    shared: Sequence[int]
    """APIs and buses, which connect stacks."""
    groups: Sequence[MapGroup]
    aliases: Mapping[str, str]
    """The node that stands for a rule or subscriber: its bus."""
