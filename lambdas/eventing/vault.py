"""The vault: personal data under a claim, deposited in the transaction that publishes its event.

It is part of the message channel: no event, queue, archive or log contains the data. See
docs/decisions/0054-personal-data-are-claimed-from-a-vault.md.
"""

import math
import time
from functools import cache
from typing import Any, TypeVar

import msgspec

from lambdas.eventing import aws, declaration
from lambdas.eventing.attributes import Item, from_attributes, to_attributes
from lambdas.eventing.declaration import Use
from lambdas.eventing.event import Delivery, E
from lambdas.eventing.personal import Claim, Deposit, Discard, Keep, Personal, VaultChange
from lambdas.eventing.settings import Settings

P = TypeVar("P", bound=Personal)


class VaultSettings(Settings, frozen=True, kw_only=True):
    """The vault's table."""

    vault_table_name: str


def deposits(*kinds: type[Personal]) -> tuple[Use, ...]:
    """Returns the declaration of a handler that deposits these kinds of personal data."""
    return tuple(Use("PutItem", kind=kind) for kind in kinds)


def redeems(*kinds: type[Personal]) -> tuple[Use, ...]:
    """Returns the declaration of a handler that reads these kinds of personal data."""
    return tuple(Use("GetItem", kind=kind) for kind in kinds)


def discards(*kinds: type[Personal]) -> tuple[Use, ...]:
    """Returns the declaration of a handler that deletes these kinds of personal data."""
    return tuple(Use("DeleteItem", kind=kind) for kind in kinds)


def keeps(*kinds: type[Personal]) -> tuple[Use, ...]:
    """Returns the declaration of a handler that changes how long these kinds are kept."""
    return tuple(Use("UpdateItem", kind=kind) for kind in kinds)


def lists(*kinds: type[Personal]) -> tuple[Use, ...]:
    """Returns the declaration of a handler that lists the purposes of these kinds."""
    return tuple(Use("Query", kind=kind) for kind in kinds)


def erases(*kinds: type[Personal]) -> tuple[Use, ...]:
    """Returns the declaration of a handler that erases these kinds for a person."""
    return (*lists(*kinds), *discards(*kinds))


def redeem(kind: type[P], delivery: Delivery[E]) -> P | None:
    """Returns the personal data that an event stands for, or None if they were erased or expired.

    Events in a version from before the vault carry their data themselves.
    """
    for carried in delivery.carried:
        if isinstance(carried, kind):
            return carried
    return find(kind, delivery.event.claim)


def find(kind: type[P], claim: Claim) -> P | None:
    """Returns the personal data under a claim as of now, or None. Raises Undeclared."""
    declaration.check(Use("GetItem", kind=kind))
    found = aws.dynamodb().get_item(
        TableName=_settings().vault_table_name, Key=_key(kind, claim), ConsistentRead=True
    )
    item = from_attributes(found.get("Item", {}))
    # DynamoDB deletes expired items some days late:
    # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/howitworks-ttl.html
    if "data" not in item or item.get("expires_at", math.inf) <= time.time():
        return None
    return msgspec.convert(item["data"], kind)


def purposes(kind: type[Personal], person: str) -> list[str]:
    """Returns the purposes for which the vault has data of a person. Raises Undeclared."""
    declaration.check(Use("Query", kind=kind))
    query = aws.dynamodb().get_paginator("query")
    pages = query.paginate(
        TableName=_settings().vault_table_name,
        ConsistentRead=True,
        KeyConditionExpression="pk = :pk",
        ExpressionAttributeValues=to_attributes({":pk": _partition(kind, person)}),
        ProjectionExpression="sk",
    )
    return [from_attributes(item)["sk"] for page in pages for item in page["Items"]]


def erase(kind: type[Personal], person: str) -> None:
    """Deletes all data of one kind about a person. Raises Undeclared."""
    declaration.check(Use("DeleteItem", kind=kind))
    for purpose in purposes(kind, person):
        aws.dynamodb().delete_item(
            TableName=_settings().vault_table_name,
            Key=_key(kind, Claim(person=person, purpose=purpose)),
        )


def operation(claim: Claim, change: VaultChange, expires_at: int | None) -> dict[str, Any]:
    """Returns a change of the vault as an operation of TransactWriteItems. Raises Undeclared.

    `expires_at`, in seconds since 1970, is the new end of the data, if they have one.
    """
    table = {"TableName": _settings().vault_table_name}
    match change:
        case Deposit(data):
            (use,) = deposits(type(data))
            item = {"data": msgspec.to_builtins(data)}
            if expires_at is not None:
                item["expires_at"] = expires_at
            put = {"Item": {**_key(type(data), claim), **to_attributes(item)}}
            request = {"Put": {**table, **put}}
        case Discard(kind):
            (use,) = discards(kind)
            request = {"Delete": {**table, "Key": _key(kind, claim)}}
        case Keep(kind):
            (use,) = keeps(kind)
            update = {
                "Key": _key(kind, claim),
                "UpdateExpression": "SET expires_at = :expires_at",
                "ExpressionAttributeValues": to_attributes({":expires_at": expires_at}),
            }
            request = {"Update": {**table, **update}}
    declaration.check(use)
    return request


def partitions(kind: type[Personal]) -> str:
    """Returns the pattern of the partition keys of a kind, for permissions."""
    return _partition(kind, "*")


def _partition(kind: type[Personal], person: str) -> str:
    return f"{kind.__name__}#{person}"


def _key(kind: type[Personal], claim: Claim) -> Item:
    return to_attributes({"pk": _partition(kind, claim.person), "sk": claim.purpose})


@cache
def _settings() -> VaultSettings:
    return VaultSettings.from_environ()
