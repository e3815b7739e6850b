"""Aggregates: what a context makes decisions about, as values without AWS and without a clock."""

from datetime import datetime
from typing import Generic, Self, TypeVar

from msgspec import UNSET, Struct, UnsetType, structs

from lambdas.eventing.event import Event
from lambdas.eventing.personal import Claim, VaultChange


class Refusal(Exception):
    """A business decision to refuse; the message is a reason code.

    The workflow catches it by the name of its class, and the compensation reads the reason.
    Retrying is pointless, so no retrier names a refusal.
    """


class Aggregate(Struct, frozen=True, kw_only=True):
    """Base of the things with a life of their own that a context stores, each under an id.

    A subclass has one method for each command or event. The method returns the Change that follows,
    or None if nothing does, or raises.
    """

    revision: int = 0
    """The number of its stored changes; 0 if it was not stored since releases count them."""
    traceparent: str | None = None
    """The trace in which it began: later changes join it. None in those of earlier releases."""
    synthetic: bool | UnsetType = UNSET
    """Whether it began with a test of the deployed system. All its events say so, whoever causes
    them."""

    @property
    def pending_since(self) -> datetime | None:
        """The time since when it waits, if it belongs into the index of pending items."""
        return None

    @property
    def claim(self) -> Claim:
        """The key of its personal data in the vault."""
        raise NotImplementedError(f"{type(self).__name__} has no personal data in the vault")

    def becomes(self, *events: Event, **fields: object) -> "Change[Self]":
        """Returns a change of some fields, and the events that report it."""
        return Change(structs.replace(self, **fields), events)


A = TypeVar("A", bound=Aggregate)


class Change(Struct, Generic[A], frozen=True):
    """A step in the life of an aggregate: what it becomes, and the events to publish, in order."""

    after: A
    events: tuple[Event, ...] = ()
    also_as: tuple[Event, ...] = ()
    """Some of the events in versions that their classes supersede."""
    vault: tuple[VaultChange, ...] = ()
    """What happens to the aggregate's personal data in the vault."""
