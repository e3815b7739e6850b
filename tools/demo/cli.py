"""The command line of `make demo`."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from cdk_rehearsal import Rehearsal, RehearsalError
from lambdas.inventory.csv_table import WrongRow
from stacks.constructs.packaging import PackagingError
from stacks.synthesis import SynthesisError, host_assembly
from tools.demo import json_report, sample
from tools.demo.console import errors_as_exit_codes, open_console
from tools.demo.csv_file import FileContent, UnusableFile
from tools.demo.display import Display, LiveDisplay
from tools.demo.order_trees import TraceExport
from tools.demo.orders_file import CustomerOrder, read_orders
from tools.demo.run import DemoRun, rehearse, setup_of
from tools.demo.stock_file import CatalogueItem, plenty_for, read_stock
from tools.demo.summary import show_endpoint, show_page, show_summary
from tools.demo.visits import plain_visits, sample_visits

AUDIT_FAILED = 1
"""The exit code if the audit fails."""

_SKIPPED_SHOWN = 20
_ERRORS = (
    *(PackagingError, RehearsalError, SynthesisError, UnusableFile),
    json_report.UnwritableReport,
)

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich")


@app.command()
def demo(
    orders: Annotated[
        Path | None,
        typer.Option(help="Your own orders in a CSV file. Default: a sample.", metavar="CSV"),
    ] = None,
    stock: Annotated[
        Path | None,
        typer.Option(help="Stock and prices. Default: enough for the orders.", metavar="CSV"),
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="Write the results to this file.", metavar="JSON")
    ] = None,
    otlp: Annotated[
        str | None,
        typer.Option(
            help="Export all traces: to a file, or to an OTLP receiver of this machine.",
            metavar="DEST",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same run.")] = 1,
    stage: Annotated[str, typer.Option(help="The stage whose templates are rehearsed.")] = "prod",
    bus: Annotated[
        str | None, typer.Option(help="classic or custom. Default: the stage's kind of bus.")
    ] = None,
    hold: Annotated[
        bool, typer.Option("--hold", help="Keep the endpoint open at the end, until Ctrl-C.")
    ] = False,
    stay: Annotated[
        bool, typer.Option("--stay", help="Let customers keep coming at the end, until Ctrl-C.")
    ] = False,
    rate: Annotated[
        float, typer.Option(help="Customers per second with --stay.", min=0.01, max=50)
    ] = 2.0,
    page: Annotated[
        bool, typer.Option("--page/--no-page", help="Serve the live page on 127.0.0.1.")
    ] = True,
) -> None:
    """Runs orders through the synthesized templates and the real handlers, and audits the result.

    --orders has the columns order_id, customer_id, sku, quantity, unit_price_minor, currency and
    payment_token, one line of an order a row. --stock has sku, quantity, unit_price_minor and
    currency: a supplier delivers the units, and staff set the prices.

    The token decides about a payment: tok_approve, tok_decline, tok_timeout, or tok_flaky_2 for a
    payment that fails twice and then succeeds.

    Ends with 1 if the audit fails, and with 2 if nothing could run.
    """
    console, errors = open_console(sys.stdout), open_console(sys.stderr)
    display = _display(console)
    with errors_as_exit_codes(errors, *_ERRORS, missing="audit"):
        json_report.require_writable(report, inputs=(orders, stock, *sample.FILES))
        export = TraceExport(otlp)
        wanted, supplies = _read(orders, stock, display)
        _show_skipped(errors, orders or sample.ORDERS, wanted.skipped)
        _show_skipped(errors, stock or sample.STOCK, supplies.skipped)
        visits = plain_visits(wanted.items) if orders else sample_visits(wanted.items, seed=seed)

        def announce(shop: Rehearsal, url: str) -> None:
            export.begin(shop)
            show_page(console, url, stays=stay or hold)
            show_endpoint(console, shop, hold=hold or stay)

        def conclude(shop: Rehearsal, run: DemoRun) -> None:
            run.checks += export.checks(run.records, run.evidence)
            show_summary(console, run)
            if report:
                json_report.write(report, json_report.report(run, wanted, seed=seed))
                console.print(f"The report is in {report}", soft_wrap=True)
            _say_next(console, shop, hold=hold, rate=rate if stay else None)

        with display.working(f"Synthesizing the templates of stage {stage}"):
            assembly = host_assembly(stage, bus=bus)
        run = rehearse(
            assembly,
            setup_of(supplies.items, visits, is_sample=orders is None),
            seed=seed,
            display=display,
            page=page,
            hold=hold,
            stay_at=rate if stay else None,
            announce=announce,
            conclude=conclude,
        )
        export.end(console)
    if not run.passes:
        raise typer.Exit(AUDIT_FAILED)


def main() -> None:
    """Entry point of `python -m tools.demo`."""
    app(prog_name="python -m tools.demo")


def _read(
    orders: Path | None, stock: Path | None, display: Display
) -> tuple[FileContent[CustomerOrder], FileContent[CatalogueItem]]:
    with display.working(f"Reading {orders or 'the sample'}"):
        wanted = read_orders(orders or sample.ORDERS)
        if orders and not stock:
            return wanted, FileContent(plenty_for(wanted.items), 0, [])
        return wanted, read_stock(stock or sample.STOCK)


def _display(console: Console) -> Display:
    able = console.file.isatty() and console.is_terminal and not console.is_dumb_terminal
    large = console.width >= LiveDisplay.WIDTH and console.height >= LiveDisplay.HEIGHT
    return LiveDisplay(console) if able and large else Display(console)


def _say_next(console: Console, shop: Rehearsal, *, hold: bool, rate: float | None) -> None:
    """Says what can be done after the run, in which customers may keep coming at a rate."""
    if rate is not None:
        text = f"Customers keep coming, {rate:g} per second: break something on the page."
        console.print(f"{text} Ctrl-C ends.", soft_wrap=True)
    elif hold:
        console.print()
        show_endpoint(console, shop, hold=True)
    else:
        console.print("To watch it and to break it: make demo ARGS=--stay", soft_wrap=True)


def _show_skipped(errors: Console, path: Path, skipped: Sequence[WrongRow]) -> None:
    for each in skipped[:_SKIPPED_SHOWN]:
        errors.print(Text(f"{path.name}, {each}", "yellow"), soft_wrap=True)
    if skipped:
        hidden = len(skipped) - _SKIPPED_SHOWN
        more = f", {hidden:,} of them not shown" if hidden > 0 else ""
        rows = "1 row" if len(skipped) == 1 else f"{len(skipped):,} rows"
        errors.print(Text(f"{path.name}: {rows} skipped{more}", "bold yellow"))
