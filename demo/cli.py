"""The command: reads what the user wants, runs it, and shows what came of it."""

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from demo import report as reports
from demo import sample, scenario
from demo.csv_file import Skipped, UnusableFile
from demo.display import Display, LiveDisplay
from demo.ending import show_books, show_counts, show_dead_letters
from demo.orders_file import OrdersFile, read_orders
from demo.run import Run, StockRefused, rehearse
from demo.stock_file import StockFile, plenty_for, read_stock
from demo.trace import most_interesting, table_of, trace
from rehearsal import Rehearsal, RehearsalError
from stacks.constructs.packaging import PROJECT, PackagingError
from stacks.synthesis import SynthesisError, synthesize

UNBALANCED, UNUSABLE = 1, 2
"""Exit codes: the books do not balance; or nothing could be run, because of what was asked for."""

_SKIPPED_SHOWN = 20

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def demo(
    orders: Annotated[
        Path | None, typer.Option(help="Orders of your own, as CSV; without it, the sample.")
    ] = None,
    stock: Annotated[
        Path | None, typer.Option(help="Stock and prices, as CSV; without it, plenty of all.")
    ] = None,
    report: Annotated[Path | None, typer.Option(help="Where to write the report, as JSON.")] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same run.")] = 1,
    stage: Annotated[str, typer.Option(help="The stage whose templates are rehearsed.")] = "prod",
    hold: Annotated[bool, typer.Option(help="Keep serving at the end, until Ctrl-C.")] = False,
) -> None:
    """Runs orders through the synthesized templates and the real handlers, and audits the books.

    Files of orders have the columns order_id, customer_id, sku, quantity, unit_price_minor,
    currency, payment_token; files of stock have sku, quantity, unit_price_minor, currency.
    Exits with 1 if the books do not balance, with 2 if a file cannot be used.
    """
    console, errors = Console(), Console(stderr=True)
    try:
        if report:
            reports.require_writable(report)
        wanted = read_orders(orders or sample.ORDERS)
        supplies = _supplies(stock, wanted, is_sample=orders is None)
        _show_skipped(errors, orders or sample.ORDERS, wanted.skipped)
        _show_skipped(errors, stock or sample.STOCK, supplies.skipped)
        console.print(f"Synthesizing stage {stage} …")
        assembly = synthesize(
            stage, PROJECT / "cdk.out" / "rehearsal" / stage, target="host", validation=False
        )
        if orders:
            visits = scenario.plain(wanted.orders)
        else:
            visits = scenario.lively(wanted.orders, seed=seed)
        run = rehearse(
            assembly,
            supplies.items,
            visits,
            seed=seed,
            display=_display(console),
            announce=lambda shop: _announce(console, shop),
            linger=lambda: _linger(console) if hold else None,
        )
    except (UnusableFile, reports.UnwritableReport, StockRefused) as error:
        _fail(errors, error)
    except (SynthesisError, PackagingError, RehearsalError) as error:
        _fail(errors, error)
    except KeyboardInterrupt:
        errors.print("interrupted")
        raise typer.Exit(130) from None
    _show(console, run)
    if report:
        content = reports.report(
            run.evidence,
            run.journal,
            run.checks,
            invocations=run.tally.invocations,
            rows_read=wanted.rows_read,
            rows_skipped=len(wanted.skipped),
            seconds=run.seconds,
            seed=seed,
        )
        reports.write(report, content)
        console.print(f"Report: {report}")
    if not run.balanced:
        errors.print(Text("The books do not balance.", "bold red"))
        raise typer.Exit(UNBALANCED)
    console.print(Text(f"The books balance, after {run.seconds:.1f} s.", "bold green"))


def main() -> None:
    """Entry of `python -m demo`."""
    app(prog_name="make demo ARGS=...")


def _supplies(stock: Path | None, wanted: OrdersFile, *, is_sample: bool) -> StockFile:
    if stock is None and not is_sample:
        return StockFile(plenty_for(wanted.orders), 0, [])
    return read_stock(stock or sample.STOCK)


def _display(console: Console) -> Display:
    return LiveDisplay(console) if console.is_terminal else Display(console)


def _announce(console: Console, shop: Rehearsal) -> None:
    url = shop.serve()
    table = shop.physical_id("Orders/Orders/Table")
    console.print(
        f"{len(shop.resources)} resources of the templates stand, "
        f"with {len(shop.functions)} functions."
    )
    console.print(
        "While it runs, any AWS client can look in, with any credentials:\n"
        f"  aws --endpoint-url {url} --region {shop.region} dynamodb scan --table-name {table}",
        soft_wrap=True,
        highlight=False,
    )


def _linger(console: Console) -> None:
    console.print("Held open: Ctrl-C to go on.")
    try:
        sys.stdin.read()
    except KeyboardInterrupt:
        return


def _show_skipped(errors: Console, path: Path, skipped: Sequence[Skipped]) -> None:
    for each in skipped[:_SKIPPED_SHOWN]:
        errors.print(Text(f"{path.name}, {each}", "yellow"), soft_wrap=True)
    if skipped:
        rest = len(skipped) - _SKIPPED_SHOWN
        more = f", {rest:,} of them not shown" if rest > 0 else ""
        errors.print(Text(f"{path.name}: {len(skipped):,} rows skipped{more}", "bold yellow"))


def _show(console: Console, run: Run) -> None:
    told = [story for story in run.stories.by_order.values() if story.unusual]
    story = most_interesting(told or list(run.stories.by_order.values()))
    if story:
        lines = trace(run.records, run.journal.answers, story.order_id)
        console.print()
        console.print(table_of(story, lines))
    rejections = Counter(
        order.reason or "unknown"
        for order in run.evidence.orders.values()
        if order.status == "rejected"
    )
    for title, counts in {
        "Refused by the API": run.journal.refusals,
        "Rejected by checkout": rejections,
        "Events on the bus": run.evidence.published_types(),
    }.items():
        console.print()
        show_counts(console, title, counts)
    console.print()
    show_books(console, run.checks)
    console.print()
    show_dead_letters(console, run.evidence)


def _fail(errors: Console, error: Exception) -> None:
    errors.print(Text(f"error: {error}", "bold red"), soft_wrap=True)
    raise typer.Exit(UNUSABLE) from None
