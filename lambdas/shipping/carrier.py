"""The carrier's interface."""

from typing import Protocol

from lambdas.orders.events import Address
from lambdas.shipping.domain import Report


class Unavailable(Exception):
    """The carrier gave no answer, or asked to try later. The call may have had its effect."""


class Undeliverable(Exception):
    """The carrier rejects the address."""


class TooLate(Exception):
    """The parcel cannot be recalled: it has been picked up, or even delivered."""

    def __init__(self, reached: Report) -> None:
        super().__init__(f"the parcel was {reached}")
        self.reached = reached


class Carrier(Protocol):
    """The operations of every carrier. A repeated call has the effect of one, at any later time.

    A parcel is opened before its label is bought, so that its id can be stored first. All
    operations raise Unavailable, and Misconfigured if only a change of the configuration can help.
    """

    def open(self, order_id: str, *, address: Address, units: int) -> str:
        """Describes a parcel, at no charge. Returns the carrier's id. Raises Undeliverable.

        Only this operation may have an effect for each call: the caller uses one of the parcels.
        """

    def buy(self, parcel_id: str) -> str:
        """Buys the label, so that the parcel is picked up and delivered. Returns the tracking id.

        Does so for a recalled parcel, too: the caller has to recall it again.
        """

    def recall(self, parcel_id: str) -> None:
        """Has the parcel brought back, or not picked up at all. Raises TooLate.

        Has no effect before the label is bought.
        """

    def order_of(self, parcel_id: str) -> str | None:
        """Returns the order of a parcel; None if another system opened the parcel."""
