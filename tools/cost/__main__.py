"""make cost: rehearses orders, meters what AWS bills, and prints dollars per million orders.

It also prints the bill of a month: idle, and with --orders-per-day. Everything is at list prices
without taxes. Handlers take the time of docs/decisions/0073-a-bill-is-metered.md.
"""

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from cdk_rehearsal import (
    Assembly,
    Charge,
    IdleBill,
    MeteredBill,
    Metering,
    Price,
    RehearsalError,
    idle_bill,
    prices,
)
from stacks.constructs.packaging import PackagingError
from stacks.synthesis import SynthesisError, host_assembly
from tools import charts
from tools.demo import json_report, sample
from tools.demo.csv_file import UnusableFile
from tools.demo.observation import observed, over_zero, sample_setup
from tools.demo.orders_file import read_orders
from tools.demo.run import DemoSetup, setup_of
from tools.demo.stock_file import plenty_for
from tools.demo.visits import plain_visits

UNPRICED, UNUSABLE = 1, 2
"""Exit codes: something has no price; nothing could run."""

RATE = 0.4
"""Orders per second: about a million in a month."""

_MILLION = 1_000_000
_SMALLEST_USD = 0.01
_DRAWN_USD = 1.0
_ERRORS = (PackagingError, RehearsalError, SynthesisError, UnusableFile, ValueError)


def main() -> None:
    """Prints the bill, and exits with 1 if something has no price."""
    options = _parser().parse_args()
    try:
        inputs = (options.orders, *sample.FILES)
        json_report.require_writable(options.json, options.svg, inputs=inputs)
        known = {**prices(options.region), **dict(options.price)}
        assembly = host_assembly(options.stage, bus=options.bus)
        idle = idle_bill(Assembly(assembly), known, free_tier=options.free_tier)
        setup = _setup(options.orders, options.seed)
        bill = rehearsed(assembly, setup, known, rate=options.rate, seed=options.seed)
    except (*_ERRORS, json_report.UnwritableReport) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(UNUSABLE)
    month = {
        orders: bill.month(orders, idle, known, free_tier=options.free_tier)
        for orders in options.orders_per_day
    }
    print(*_lines(bill, idle, month, options), sep="\n")
    if options.svg:
        options.svg.write_text(drawn(bill, options), encoding="utf-8")
    if options.json:
        options.json.write_text(json.dumps(_report(bill, idle, month), indent=2))
    sys.exit(UNPRICED if bill.unpriced or idle.unpriced else 0)


def rehearsed(
    assembly: Path,
    setup: DemoSetup,
    known: Mapping[str, Price],
    *,
    rate: float,
    seed: int,
) -> MeteredBill:
    """Rehearses orders that come at a rate, and returns the bill of one.

    Not counted is what happens before the first customer comes: supplies, prices and preferences.
    """

    def billed(metering: Metering, orders: int) -> MeteredBill:
        return metering.bill(known, orders=orders, rate=rate)

    return observed(assembly, setup, rate=rate, seed=seed, begin=Metering, end=billed)


def _setup(orders: Path | None, seed: int) -> DemoSetup:
    if orders is None:
        return sample_setup(seed)
    wanted = read_orders(orders).items
    return setup_of(plenty_for(wanted), plain_visits(wanted), is_sample=False)


def _lines(
    bill: MeteredBill, idle: IdleBill, month: Mapping[float, float], options: argparse.Namespace
) -> list[str]:
    """Returns the report for the terminal."""
    groups: dict[str, Callable[[Charge], str]] = {
        "service": lambda charge: charge.service,
        "context": lambda charge: charge.context,
        "hop": lambda charge: charge.hop,
        "kind": _kind,
    }
    lines = []
    for title, key in groups.items():
        lines += ["", f"USD per million orders, by {title}"]
        sums = [(name, usd * _MILLION) for name, usd in bill.by(key).items()]
        lines += [f"{usd:10.2f}  {name}" for name, usd in sums if usd >= _SMALLEST_USD]
    lines += ["", "Units for one order"]
    lines += [f"{units:10.4g}  {name}" for name, units in _units(bill).items()]
    lines += ["", "Outside of the architecture, for one order"]
    lines += [f"{units:10.4g}  {name}" for name, units in bill.outside.items()]
    lines += ["", "USD a month, however many orders come"]
    lines += [f"{line.usd:10.2f}  {line.type}" for line in idle.lines if line.usd >= _SMALLEST_USD]
    lines += [f"{usd:10.2f}  {name}" for name, usd in _monthly(bill).items() if usd]
    usd = bill.usd * _MILLION
    traced = bill.by(lambda charge: charge.service).get("X-Ray", 0) * _MILLION
    lines += [
        "",
        f"{_staged(options)}, {options.rate:g} orders per second, prices of {options.region}:",
    ]
    lines.append(f"{usd:10.2f}  USD per million orders, {traced:.2f} of them for traces")
    lines.append(f"{idle.usd:10.2f}  USD a month, idle")
    lines += [f"{usd:10.2f}  USD a month, {n:g} orders a day" for n, usd in month.items()]
    lines += [
        f"no price is known for {name} ({units:.4g} for one order): give it with --price {name}=USD"
        if name.isidentifier()
        else f"no price is known for {name}"
        for name, units in (*bill.unpriced.items(), *((each, 0.0) for each in idle.unpriced))
    ]
    return lines[1:]


def drawn(bill: MeteredBill, options: argparse.Namespace) -> str:
    """Returns a chart of the bill by service and kind."""
    sums = {name: usd * _MILLION for name, usd in bill.by(_kind).items()}
    title = f"{_staged(options)}: USD per million orders, {sum(sums.values()):,.0f} in all"
    return charts.bars(title, {name: usd for name, usd in sums.items() if usd >= _DRAWN_USD})


def _kind(charge: Charge) -> str:
    return f"{charge.service}: {charge.kind}"


def _staged(options: argparse.Namespace) -> str:
    return f"{options.stage}{f' on the {options.bus} bus' if options.bus else ''}"


def _units(bill: MeteredBill) -> dict[str, float]:
    names = dict.fromkeys(charge.price for charge in (*bill.charges, *bill.polls))
    return {name: bill.units(name) for name in sorted(names)}


def _monthly(bill: MeteredBill) -> dict[str, float]:
    """Returns what schedules, the functions that they invoke, and custom metrics cost."""
    sums: dict[str, float] = {}
    for charge in bill.monthly:
        sums[charge.hop] = sums.get(charge.hop, 0) + charge.usd
    return sums


def _report(bill: MeteredBill, idle: IdleBill, month: Mapping[float, float]) -> dict[str, Any]:
    return {
        "order": bill.as_json(),
        "idle": idle.as_json(),
        "months": [{"orders_per_day": n, "usd": usd} for n, usd in month.items()],
    }


def _price(text: str) -> tuple[str, Price]:
    """Reads NAME=USD."""
    name, _, usd = text.partition("=")
    stated = {"says": name, "service": "stated", "usd": usd, "page": "", "read": "2026-01-01"}
    try:
        return name, msgspec.convert(stated, Price, strict=False)
    except msgspec.ValidationError as error:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not NAME=USD: give dollars for a unit"
        ) from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make cost", description=__doc__)
    parser.add_argument("--stage", default="prod", help="the stage that is rehearsed (prod)")
    parser.add_argument("--bus", help="classic or custom; by default the stage's kind of bus")
    parser.add_argument("--orders", type=Path, help="your own orders in a CSV file, as in the demo")
    parser.add_argument("--rate", type=over_zero, default=RATE, help=f"orders per second ({RATE})")
    parser.add_argument(
        "--orders-per-day",
        type=over_zero,
        action="append",
        default=[],
        metavar="N",
        help="add the total of a month with so many orders",
    )
    parser.add_argument("--region", default="us-east-1", help="whose prices count (us-east-1)")
    parser.add_argument(
        "--price",
        type=_price,
        action="append",
        default=[],
        metavar="NAME=USD",
        help="the price of a unit that is not known, or another one",
    )
    parser.add_argument(
        "--free-tier", action="store_true", help="subtract it from bills of a month"
    )
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same run (1)")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="draw a chart into this file")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything to this file")
    return parser


if __name__ == "__main__":
    main()
