"""Listings: indexes that list the aggregates of a group, the newest first, page by page.

An index contains only keys. So no personal data are stored twice, a change of an aggregate writes
to the table alone, and a page shows each aggregate as it is now. The index itself lags behind its
table, usually by less than a second: an aggregate that was just created may be missing.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/GSI.html
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Annotated, Any, Generic, TypeVar

import msgspec
from msgspec import Meta, Struct

from lambdas.eventing import aws, declaration
from lambdas.eventing.attributes import Item, from_attributes, to_attributes
from lambdas.eventing.declaration import BATCH_GET, Use
from lambdas.eventing.settings import TableSettings

A = TypeVar("A")

Cursor = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=200,
        pattern=r"^[A-Za-z0-9_-]+$(?!\n)",
        description="The position after a page: the value of its `next`",
    ),
]


class Listing(Struct, frozen=True):
    """An index by two attributes of an aggregate. Items without one of them are not in it."""

    index: str
    group: str
    """The attribute that all aggregates of a list have in common."""
    moment: str
    """The attribute with the time, in ISO 8601, by which they are sorted."""

    @property
    def query(self) -> Use:
        """How `entries` uses the table."""
        return Use("Query", self.index)

    @property
    def find(self) -> tuple[Use, ...]:
        """How a store uses the table to list aggregates."""
        return (self.query, BATCH_GET)


class Position(Struct, frozen=True, array_like=True):
    """The position of an entry in its list."""

    moment: Annotated[str, Meta(pattern=r"^[0-9][0-9TZ:.+-]{18,34}$")]
    pk: Annotated[str, Meta(min_length=1, max_length=64)]
    sk: Annotated[str, Meta(min_length=1, max_length=64)]

    @classmethod
    def at(cls, cursor: str) -> "Position":
        """Returns the position of a cursor. Raises ValueError if it is not one of `cursor`.

        A cursor contains nothing secret and grants nothing: the group of a query comes from the
        caller's token. With a cursor of another caller, a query finds only the caller's own items.
        """
        padding = "=" * (-len(cursor) % 4)
        try:
            return msgspec.json.decode(urlsafe_b64decode(cursor + padding), type=cls)
        except (ValueError, msgspec.MsgspecError):
            raise ValueError("`after` is not the `next` of a page: begin without it") from None

    @property
    def cursor(self) -> str:
        """The position as an opaque text."""
        return urlsafe_b64encode(msgspec.json.encode(self)).decode().rstrip("=")


class Page(Struct, Generic[A], frozen=True):
    """A page of a list, and the cursor of the next page, if there is one."""

    found: tuple[A, ...]
    next: str | None


def entries(
    settings: TableSettings,
    listing: Listing,
    group: str,
    *,
    limit: int,
    after: Position | None = None,
) -> list[Item]:
    """Returns up to `limit` entries of a group, the newest first, from a position on."""
    start: dict[str, Any] = {}
    if after:
        position = {"pk": after.pk, "sk": after.sk, listing.moment: after.moment}
        key = to_attributes({**position, listing.group: group})
        start = {"ExclusiveStartKey": key}
    declaration.check(listing.query)
    found = aws.dynamodb().query(
        TableName=settings.table_name,
        IndexName=listing.index,
        KeyConditionExpression="#group = :group",
        ExpressionAttributeNames={"#group": listing.group},
        ExpressionAttributeValues=to_attributes({":group": group}),
        ScanIndexForward=False,
        Limit=limit,
        **start,
    )
    return [from_attributes(attributes) for attributes in found["Items"]]


def cursor(listing: Listing, entry: Item) -> str:
    """Returns the cursor of the position of an entry."""
    return Position(entry[listing.moment], entry["pk"], entry["sk"]).cursor
