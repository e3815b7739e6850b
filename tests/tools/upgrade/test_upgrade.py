"""Two releases meet while orders flow: incompatible changes fail, and name the pair."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from cdk_rehearsal import Assembly
from tests.support.forks import in_a_fork
from tests.tools.upgrade.releases import Replacements, release
from tools.faults import matrix
from tools.faults.shop import RehearsedShop
from tools.upgrade.cli import show_result
from tools.upgrade.run import Schedule, ScheduleResult, run_schedule


@pytest.fixture(scope="module")
def shop(assembly: Path) -> Iterator[RehearsedShop]:
    """A shop that is open for business, in the release of this tree."""
    with matrix.open_shop(assembly, warm_up=()) as shop:
        yield shop


@dataclass(frozen=True, kw_only=True)
class Change:
    """A change of one context."""

    context: str
    code: Replacements
    template: Mapping[str, str] = field(default_factory=dict)
    seed: int = 3
    says: Sequence[str] = ()
    """What a finding has to say."""


_PLACED = "class OrderPlaced(OrderEvent, frozen=True, kw_only=True"

INCOMPATIBLE = {
    "a field renamed without a new version": Change(
        context="Orders",
        code={"orders/events.py": {_PLACED: f'{_PLACED}, rename={{"total_minor": "total"}}'}},
        says=(
            "Orders/PlaceOrder (new) wrote OrderPlaced.v2",
            "Checkout/RunCheckout/Function (old) fails",
            "missing required field `total_minor`",
        ),
    ),
    "a new required setting": Change(
        context="Orders",
        code={"orders/settings.py": {"orders_per_hour: int": "orders_per_hour: int; city: str"}},
        template={'"CHECKOUT_MINUTES":': '"CITY": "Oslo", "CHECKOUT_MINUTES":'},
        says=("(new code, old settings) fails", "missing required field `city`"),
    ),
    "an order state that old code does not know": Change(
        context="Orders",
        code={
            "orders/domain.py": {
                '    CONFIRMED = "confirmed"': '    CONFIRMED = "approved"',
                '    RETURNED = "returned"': (
                    '    RETURNED = "returned"\n\n    @classmethod\n'
                    "    def _missing_(cls, value):\n"
                    '        return cls.CONFIRMED if value == "confirmed" else None\n'
                ),
            }
        },
        says=(
            '(new) wrote an item of kind "order"',
            " (old) fails",
            "Invalid enum value 'approved'",
        ),
    ),
    "a changed idempotency fingerprint": Change(
        context="Orders",
        code={
            "eventing/http.py": {
                "sha256(canonical).hexdigest()": 'sha256(b"2" + canonical).hexdigest()'
            },
            "orders/place_order.py": {
                "sha256(msgspec.json.encode(command))": 'sha256(b"2")',
            },
        },
        says=(
            '(old) wrote an item of kind "order"',
            "Orders/PlaceOrder (new) fails",
            "422 instead of 202",
        ),
    ),
    "a new required field of the API": Change(
        context="Orders",
        code={
            "orders/place_order.py": {
                "    payment_token: PaymentToken": "    payment_token: PaymentToken\n    gift: bool"
            }
        },
        says=("a client wrote the request, Orders/PlaceOrder (new) fails", "400 instead of 202"),
    ),
    "another input of a workflow": Change(
        context="Checkout",
        code={
            "checkout/run_checkout.py": {
                "msgspec.json.encode(TaskInput(detail=delivery.envelope.carried_on()))": (
                    'msgspec.json.encode({"event": delivery.envelope.carried_on()})'
                )
            }
        },
        template={
            r"{\"StartAt\":\"ReserveStock\",\"States\":{": (
                r"{\"StartAt\":\"Unwrap\",\"States\":{\"Unwrap\":{\"Type\":\"Pass\",\"Parameters\":"
                r"{\"detail.$\":\"$.event\"},\"Next\":\"ReserveStock\"},"
            )
        },
        says=(
            "Checkout/RunCheckout/Function (new) wrote the input of Checkout/Workflow (old)",
            "Inventory/ReserveStock (old) fails",
            "missing required field `detail`",
        ),
    ),
}


NO_DELETION = {"scheduler:DeleteSchedule": "scheduler:GetSchedule"}
HIDDEN = "the new release sees it, the old one does not: "


def upgraded(shop: RehearsedShop, assembly: Path, head: Path, change: Change) -> ScheduleResult:
    """Runs a schedule that updates one context alone."""
    run = partial(run_schedule, shop, Assembly(assembly), Assembly(head), orders=10)
    return run(Schedule(order=[change.context], seed=change.seed))


@pytest.mark.parametrize("change", INCOMPATIBLE.values(), ids=list(INCOMPATIBLE))
def test_an_incompatible_change_names_the_versions_that_meet(
    shop: RehearsedShop, assembly: Path, tmp_path: Path, change: Change
) -> None:
    head = release(assembly, tmp_path, change.context, code=change.code, template=change.template)
    found = in_a_fork(partial(upgraded, shop, assembly, head, change))
    findings = found.findings(usual=())
    assert [each for each in findings if all(said in each for said in change.says)], "\n".join(
        findings
    )
    printed = StringIO()
    assert show_result(Console(file=printed, width=400), found, usual=()) == findings
    assert f"Repeat it: --only {change.seed}" in printed.getvalue()


def test_a_new_optional_field_is_compatible(
    shop: RehearsedShop, assembly: Path, tmp_path: Path
) -> None:
    change = Change(
        context="Orders",
        code={
            "orders/events.py": {
                f"{_PLACED}):": f"{_PLACED}):\n    gift: bool = True\n",
            }
        },
    )
    head = release(assembly, tmp_path, change.context, code=change.code)
    found = in_a_fork(partial(upgraded, shop, assembly, head, change))
    assert found.findings(usual=()) == []
    assert {"Orders/PlaceOrder", "Orders/ConfirmOrder"} <= found.met
    assert found.statuses["delivered"] > 0


def test_a_role_that_changes_before_its_code_is_a_delay_and_not_a_failure(
    shop: RehearsedShop, assembly: Path, tmp_path: Path
) -> None:
    """The carrier sends a report again, and then the code that needs no permission takes it."""
    without = {"shipping/shipment_store.py": {"deadline.cancel(order_id)": "pass"}}
    change = Change(context="Shipping", code=without, template=NO_DELETION)
    head = release(assembly, tmp_path, change.context, code=change.code, template=change.template)
    found = in_a_fork(partial(upgraded, shop, assembly, head, change))
    printed = StringIO()
    assert show_result(Console(file=printed, width=400), found, usual=()) == []
    assert "! Shipping/TakeCarrierEvent (old" in printed.getvalue()
    assert "is refused for a while" in printed.getvalue()


def test_a_permission_that_its_code_needs_on_is_a_failure(
    shop: RehearsedShop, assembly: Path, tmp_path: Path
) -> None:
    change = Change(context="Shipping", code={}, template=NO_DELETION)
    head = release(assembly, tmp_path, change.context, code=change.code, template=change.template)
    findings = in_a_fork(partial(upgraded, shop, assembly, head, change)).findings(usual=())
    assert [
        each
        for each in findings
        if "Shipping/TakeCarrierEvent (new) fails: ClientError" in each and "AccessDenied" in each
    ], findings


@pytest.mark.parametrize(
    ("old", "new", "hidden"),
    [("PARTITIONS = 32", "PARTITIONS = 64", True), ('f"ITEMS#', 'f"ROWS#', False)],
    ids=["partitions that old code does not read", "keys that each release reads alone"],
)
def test_what_a_rollback_hides_is_told_from_what_no_release_sees(
    shop: RehearsedShop, assembly: Path, tmp_path: Path, old: str, new: str, hidden: bool
) -> None:
    change = Change(context="Analytics", code={"analytics/sales_store.py": {old: new}})
    head = release(assembly, tmp_path, change.context, code=change.code)
    found = in_a_fork(partial(upgraded, shop, assembly, head, change))
    assert found.problems
    assert all(each.startswith(HIDDEN) for each in found.problems) is hidden, found.problems
    run = partial(run_schedule, shop, Assembly(assembly), Assembly(head), orders=10, back=False)
    forward = in_a_fork(lambda: run(Schedule(order=[change.context], seed=change.seed)))
    assert (forward.findings(usual=()) == []) is hidden
