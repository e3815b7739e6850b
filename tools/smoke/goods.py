"""Synthetic items: their stock, their price, and orders for them."""

from collections.abc import Iterable, Mapping
from typing import Any

from lambdas.inventory.supplier_files import INCOMING, REPORTS
from tools.smoke.accounts import Account
from tools.smoke.hops import hops
from tools.smoke.run import Run, StepFailed, require

PRICE, CURRENCY = 100, "EUR"
"""The price of each synthetic item, in minor units, and its currency."""
IMPORTED = hops("Inventory/ImportStockFile")
"""The hop that a supplier's file passes."""
PRICED = hops("Inventory/SetPrices", "Inventory/StockRelay", "Orders/KeepPriceList")
"""The hops that a price passes."""

_SUPPLIER, _COST = "synthetic", 50
_HEADINGS = "sku,quantity,unit_cost_minor,currency"
_ADDRESS = {
    "name": "Smoke Test",
    "street": "Main Street 1",
    "postal_code": "10115",
    "city": "Berlin",
    "country": "DE",
}


def import_stock(run: Run, units: Mapping[str, int]) -> None:
    """Uploads a supplier's file with units by SKU, waits for its report, and deletes both.

    Raises StepFailed.
    """
    bucket = run.stage.resource("Inventory", "AWS::S3::Bucket", "SupplierFilesBucket")
    s3 = run.stage.client("s3")
    key = f"{INCOMING}{_SUPPLIER}/smoke-{run.id}.csv"
    rows = [f"{sku},{number},{_COST},{CURRENCY}" for sku, number in units.items()]
    reports = f"{REPORTS}{_SUPPLIER}/smoke-{run.id}.csv/"

    def listed() -> list[str]:
        found = s3.list_objects_v2(Bucket=bucket, Prefix=reports)
        return [each["Key"] for each in found.get("Contents", ())]

    s3.put_object(Bucket=bucket, Key=key, Body="\n".join([_HEADINGS, *rows, ""]).encode())
    try:
        run.wait(listed, *IMPORTED)
    finally:
        for each in (key, *listed()):
            s3.delete_object(Bucket=bucket, Key=each)


def set_prices(run: Run, staff: Account, skus: Iterable[str]) -> None:
    """Sets the prices of items. Raises StepFailed, also if one waits for a decision."""
    prices = [{"sku": sku, "unit_price_minor": PRICE, "currency": CURRENCY} for sku in skus]
    answer = run.ask("PUT", "/prices", staff.token, {"prices": prices})
    for view in require(answer, 200)["prices"]:
        if view.get("proposal"):
            raise StepFailed(
                f"the price of {view['sku']} waits for a colleague: POST /prices/decision"
            )


def order_for(sku: str) -> dict[str, Any]:
    """Returns the body of an order for one unit of an item."""
    return {
        "currency": CURRENCY,
        "lines": [{"sku": sku, "quantity": 1, "unit_price_minor": PRICE}],
        "shipping_address": _ADDRESS,
        "payment_token": "tok_approve",
    }


def first_order(run: Run, customer: Account, sku: str) -> str:
    """Places the first order for an item, once its price has arrived. Returns the order's id.

    Raises StepFailed.
    """
    key = {"idempotency-key": f"smoke-{run.id}-{sku}"}

    def placed() -> Any:
        answer = run.ask("POST", "/orders", customer.token, order_for(sku), key)
        if answer.code in {"unknown_item", "price_changed"}:
            return None  # The price has not arrived yet.
        return require(answer, 202)

    return str(run.wait(placed, *PRICED)["order_id"])
