"""Stores: the one way to change an aggregate. Load it, decide, and commit if nobody else did."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic

from msgspec import UNSET, convert, structs, to_builtins

from lambdas.eventing import pending, trace
from lambdas.eventing.aggregate import A, Change
from lambdas.eventing.attributes import Item
from lambdas.eventing.event import Cause
from lambdas.eventing.settings import TableSettings
from lambdas.eventing.transaction import (
    MAX_KEYS,
    MAX_OPERATIONS,
    ConditionFailed,
    Contention,
    Key,
    Transaction,
    read,
    read_all,
)

if TYPE_CHECKING:
    from lambdas.eventing.listing import Listing, Page, Position

BATCH = 25
"""Aggregates that are changed in one transaction, if each change has at most four writes."""

TRIES = 5
"""Attempts to change an aggregate that others change at the same time."""

_ABSENT: Any = object()


class NotStored(LookupError):
    """There is no aggregate with this id."""


class Store(Generic[A]):
    """The aggregates of one type in a context's table.

    Each stored change raises the aggregate's revision by one, and is conditional on the revision
    that was loaded. See docs/decisions/0042-one-way-to-change-an-aggregate.md.
    """

    def __init__(
        self,
        aggregate: type[A],
        kind: str,
        settings: Callable[[], TableSettings],
        key: Callable[[str], Key],
        *,
        id_field: str,
        whole: bool = False,
        formerly: Sequence[str] = (),
    ) -> None:
        """Describes where and how aggregates are stored.

        A change writes what differs, or the whole item if `whole`: the first needs the permission
        to update items, the second to put them. `formerly` names the fields that earlier releases
        put in their conditions in place of the revision.
        """
        self.kind = kind
        self.key = key
        self._aggregate = aggregate
        self._settings = settings
        self._id_field = id_field
        self._whole = whole
        self._formerly = formerly

    def find(self, id_: str) -> A | None:
        """Returns the aggregate as of now (strongly consistent), or None."""
        stored = read(self._settings(), self.key(id_))
        return self._loaded({self._id_field: id_, **stored}) if stored else None

    def find_all(self, ids: Sequence[str]) -> list[A]:
        """Returns the aggregates that exist under these ids, in no order (strongly consistent)."""
        found: list[A] = []
        for start in range(0, len(ids), MAX_KEYS):
            keys = [self.key(id_) for id_ in ids[start : start + MAX_KEYS]]
            found += map(self._loaded, read_all(self._settings(), keys).values())
        return found

    def require(self, id_: str) -> A:
        """Returns the aggregate as of now. Raises NotStored."""
        found = self.find(id_)
        if found is None:
            raise self._missing(id_)
        return found

    def pending(self, *, limit: int, before: datetime | None = None) -> list[A]:
        """Returns up to `limit` (at most 100) aggregates that wait; see `pending.oldest`."""
        found = pending.oldest(self._settings(), limit=limit, before=before)
        return [self._loaded(item) for item in found]

    def pending_batches(self, *, before: datetime) -> Iterator[list[A]]:
        """Yields all aggregates that wait since `before` a time; see `pending.batches`."""
        for found in pending.batches(self._settings(), before=before, size=BATCH):
            yield [self._loaded(item) for item in found]

    def newest(
        self, listing: "Listing", group: str, *, limit: int, after: "Position | None"
    ) -> "Page[A]":
        """Returns up to `limit` (at most 100) aggregates of a group, the newest first.

        The index lags behind its table: aggregates that have left the group are left out.
        """
        from lambdas.eventing.listing import Page, cursor, entries  # Few handlers list anything.

        settings = self._settings()
        # One more than asked for, to know whether there is a next page.
        found = entries(settings, listing, group, limit=limit + 1, after=after)
        page, rest = found[:limit], found[limit:]
        keys: list[Key] = [(entry["pk"], entry["sk"]) for entry in page]
        items = read_all(settings, keys) if keys else {}
        stays = [items[key] for key in keys if items.get(key, {}).get(listing.group) == group]
        return Page(
            tuple(map(self._loaded, stays)),
            next=cursor(listing, page[-1]) if rest else None,
        )

    def change(
        self,
        id_: str,
        decide: Callable[[A], Change[A] | None],
        cause: Cause | Callable[[A], Cause],
        *,
        begin: Callable[[], Change[A]] | None = None,
        load: Callable[[], A | None] | None = None,
        last: A | None = None,
        inbox: tuple[str, str] | None = None,
        also: Callable[[Transaction], None] | None = None,
    ) -> tuple[A, bool]:
        """Loads an aggregate and commits what `decide` says, again if another writer was faster.

        Without an aggregate, `begin` says what is created. `load` replaces `find`. The `last` that
        was read or stored spares the first read. `also` adds writes to the transaction of the
        change. Returns the aggregate as it is now, and whether this call changed it. Raises
        Contention after several attempts, NotStored if there is no aggregate and no `begin`, and
        what `commit`, `decide`, `begin` and `load` raise.

        A change of the aggregate alone, without events, has to be one that `decide` finds done when
        it is asked again: if the answer of DynamoDB gets lost, it sees what this call wrote.
        """
        for _ in range(TRIES):
            found = last or (load() if load else self.find(id_))
            last = None
            if found is not None:
                change = decide(found)
                if change is None:
                    return found, False
            elif begin:
                change = begin()
            else:
                raise self._missing(id_)
            why = cause if isinstance(cause, Cause) else cause(change.after)
            if stored := self.commit(found, change, why, inbox=inbox, also=also):
                return stored, True
        raise self.contention(id_)

    def commit(
        self,
        before: A | None,
        change: Change[A],
        cause: Cause,
        *,
        inbox: tuple[str, str] | None = None,
        also: Callable[[Transaction], None] | None = None,
    ) -> A | None:
        """Commits a change of an aggregate as it was loaded; `before` is None for a new one.

        Returns the aggregate as stored, or None if another writer was faster. With `inbox`, a
        consumer and a key, raises AlreadyProcessed the second time.
        """
        transaction = Transaction(self._settings(), cause)
        if inbox:
            transaction.once(*inbox)
        stored = self.write(transaction, before, change)
        if also:
            also(transaction)
        try:
            transaction.commit()
        except ConditionFailed:
            return None
        return stored

    def commit_all(self, changes: Sequence[tuple[A, Change[A]]], cause: Cause) -> list[A]:
        """Commits changes of aggregates as they were loaded, in as few transactions as possible.

        Returns the aggregates as stored. If another writer was faster for some of them, those stay
        as they are, and the others are committed in smaller transactions.
        """
        if not changes:
            return []
        transaction = Transaction(self._settings(), cause)
        stored = [self.write(transaction, before, change) for before, change in changes]
        if len(transaction) <= MAX_OPERATIONS or len(changes) == 1:
            try:
                transaction.commit()
                return stored
            except ConditionFailed:
                pass
        middle = len(changes) // 2
        halves = (changes[:middle], changes[middle:]) if middle else ()
        return [each for half in halves for each in self.commit_all(half, cause)]

    def write(self, transaction: Transaction, before: A | None, change: Change[A]) -> A:
        """Adds a change and its events to a transaction that does more, labelled with `kind`.

        Returns the aggregate as it is stored by the commit.
        """
        revision = before.revision if before else 0
        began_in = change.after.traceparent
        joined = trace.join(began_in)
        after = structs.replace(
            change.after,
            revision=revision + 1,
            traceparent=began_in or joined,
            synthetic=before.synthetic if before else transaction.cause.synthetic or UNSET,
        )
        key = self.key(getattr(after, self._id_field))
        if before is None:
            transaction.create(key, self._item(after), label=self.kind)
        elif self._whole:
            transaction.put(key, self._item(after), **self._lock(before), label=self.kind)
        else:
            self._update(transaction, key, before, after)
        for event in change.events:
            older = type(event).versions()[1:]
            also_as = [each for each in change.also_as if isinstance(each, older)]
            transaction.publish(
                key, event, also_as=also_as, traceparent=joined, synthetic=after.synthetic is True
            )
        for each in change.vault:
            transaction.change_vault(after.claim, each)
        return after

    def contention(self, id_: str) -> Contention:
        """Returns the error to raise when other writers were faster too often."""
        return Contention(f"{self.kind} {id_} kept changing in {self._table}: try again later")

    def _missing(self, id_: str) -> NotStored:
        return NotStored(f"{self.kind} {id_} has an event but is not in {self._table}")

    @property
    def _table(self) -> str:
        return self._settings().table_name

    def _loaded(self, item: Item) -> A:
        return convert(item, self._aggregate)

    def _item(self, aggregate: A) -> Item:
        since = aggregate.pending_since
        waits = pending.waiting(getattr(aggregate, self._id_field), since) if since else {}
        return {"kind": self.kind, **to_builtins(aggregate), **waits}

    def _lock(self, before: A) -> dict[str, Any]:
        """The condition that nothing has changed since `before` was loaded."""
        stored = to_builtins(before)
        locked = [*(["revision"] if before.revision else []), *self._formerly]
        conditions = [f"#{name} = :was_{name}" for name in locked]
        if not before.revision:
            conditions += ["attribute_exists(pk)", "attribute_not_exists(revision)"]
        return {
            "condition": " AND ".join(conditions),
            "names": {f"#{name}": name for name in locked},
            "values": {f":was_{name}": stored[name] for name in locked},
        }

    def _update(self, transaction: Transaction, key: Key, before: A, after: A) -> None:
        lock = self._lock(before)
        names, values = lock["names"], lock["values"]
        sets, removes = [], []
        for number, (path, value) in enumerate(_differences(self._item(before), self._item(after))):
            names.update((f"#{name}", name) for name in path)
            place = ".".join(f"#{name}" for name in path)
            if value is _ABSENT:
                removes.append(place)
            else:
                sets.append(f"{place} = :v{number}")
                values[f":v{number}"] = value
        expression = f"SET {', '.join(sets)}"
        if removes:
            expression += f" REMOVE {', '.join(removes)}"
        transaction.update(key, expression, **lock, label=self.kind)


def _differences(
    before: Mapping[str, Any], after: Mapping[str, Any], inside: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Paths at which two items differ, each with its new value or `_ABSENT`."""
    for name in dict.fromkeys([*before, *after]):
        old, new = before.get(name, _ABSENT), after.get(name, _ABSENT)
        if isinstance(old, dict) and isinstance(new, dict):
            yield from _differences(old, new, (*inside, name))
        elif old != new:
            yield (*inside, name), new
