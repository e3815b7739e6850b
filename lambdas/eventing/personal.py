"""Personal data: events name the person, and the vault keeps the data."""

from msgspec import Struct


class Personal(Struct, frozen=True, kw_only=True):
    """Base of each kind of personal data that the vault keeps."""


class Claim(Struct, frozen=True, kw_only=True):
    """The key of deposits: the person, and what the data were given for, such as an order.

    An event that names both is a claim check: its consumers redeem the data from the vault.
    """

    person: str
    purpose: str


class Deposit(Struct, frozen=True):
    """The entry of personal data into the vault, which deletes them after these days.

    Without a number of days, they stay until they are discarded, replaced or erased.
    """

    data: Personal
    days: int | None


class Discard(Struct, frozen=True):
    """The deletion of personal data of one kind, because they are no longer needed."""

    kind: type[Personal]


class Keep(Struct, frozen=True):
    """A new period for personal data of one kind: the vault deletes them after these days."""

    kind: type[Personal]
    days: int


VaultChange = Deposit | Discard | Keep
"""A change of the vault that an aggregate's change includes."""
