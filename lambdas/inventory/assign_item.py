"""Assign an item to a supplier: PUT /items/supplier, for staff."""

from datetime import UTC, datetime

from msgspec import Struct

from lambdas.eventing.declaration import PUT, UPDATE
from lambdas.eventing.http import Audience, Request, endpoint
from lambdas.inventory import stock_store
from lambdas.inventory.events import Sku
from lambdas.inventory.supplier_files import SupplierName


class AssignItem(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The request body: an item, and the only supplier who may deliver it from now on."""

    sku: Sku
    supplier: SupplierName


class AssignedItem(Struct, frozen=True, kw_only=True):
    """An item and its supplier, for staff."""

    sku: Sku
    supplier: SupplierName


@endpoint(body=AssignItem, answers=AssignedItem, audience=Audience.STAFF, uses=(UPDATE, PUT))
def handler(request: Request, command: AssignItem) -> AssignedItem:
    """Assign an item to a supplier.

    Without an assignment, an item belongs to the supplier who delivers it first.
    """
    stock_store.assign(command.sku, command.supplier, request.caller, datetime.now(UTC), request)
    return AssignedItem(sku=command.sku, supplier=command.supplier)
