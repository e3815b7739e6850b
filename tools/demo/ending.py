"""The way in while it runs, and the end: the books, what is counted, the dead letters."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.columns import Columns
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from cdk_rehearsal import Rehearsal
from tools.demo.books import Check, shown
from tools.demo.console import grid, show_table
from tools.demo.evidence import ORDERS, Evidence
from tools.demo.run import Run
from tools.demo.trace import most_interesting, table_of, trace

_FAULTS_SHOWN = 10
_LETTERS_SHOWN = 5
_LETTER_SHOWN = 2_000
"""The characters of a parked message that are printed."""


def show_way_in(console: Console, shop: Rehearsal, *, hold: bool) -> None:
    """Print commands that read the tables and queues while the demo runs.

    Each command names the endpoint, because version 1 of the AWS CLI ignores AWS_ENDPOINT_URL for
    SQS: https://github.com/aws/aws-cli/issues/8737
    """
    url = shop.serve()
    aws = f"aws --endpoint-url {url} --region {shop.region}"
    until = "" if hold else "until the demo ends;\nwith make demo ARGS=--hold, "
    lines = (
        f"{len(shop.resources)} resources and {len(shop.functions)} functions of the templates "
        "are at work.",
        f"Any AWS client can read them {until}until Ctrl-C. In another terminal, in this folder:",
        "  export AWS_ACCESS_KEY_ID=demo AWS_SECRET_ACCESS_KEY=demo NO_PROXY=127.0.0.1",
        f"  {aws} \\",
        "    sqs list-queues",
        f"  {aws} \\",
        "    dynamodb scan \\",
        f"    --table-name {shop.physical_id(ORDERS)}",
        "  .venv/bin/python -c 'import boto3; print(boto3.client(",
        f'    "dynamodb", "{shop.region}", endpoint_url="{url}"',
        """  ).list_tables()["TableNames"])'""",
        "",
    )
    for line in lines:
        console.print(Text(line, "dim" if line.startswith(" ") else ""), soft_wrap=True)


def show_end(console: Console, run: Run) -> None:
    """All that came of a run, the verdict last."""
    _show_trace(console, run)
    counts = {
        "Refused by the API": run.refusals,
        "Rejected by checkout": run.evidence.rejections(),
        "Events on the bus": run.evidence.published_types(),
        "Sent again": run.journal.repeated,
    }
    tables = [_counts(title, each) for title, each in counts.items() if each]
    console.print()
    console.print(Columns(tables, padding=(0, 4)))
    console.print()
    _show_books(console, run.checks)
    console.print()
    _show_dead_letters(console, run.evidence)
    console.print()
    if run.balanced:
        console.print(Text(f"The books balance, after {run.seconds:.1f} s.", "bold green"))
    else:
        wrong = sum(not check.holds for check in run.checks)
        said = f"The books do not balance: {wrong} of {len(run.checks)} checks fail."
        console.print(Text(said, "bold red"))


def _show_trace(console: Console, run: Run) -> None:
    story = most_interesting(list(run.stories.by_order.values()))
    if story:
        lines = trace(run.records, run.journal.answers, story.order_id)
        console.print()
        show_table(console, table_of(story, lines))


def _show_books(console: Console, checks: Sequence[Check]) -> None:
    """Each check with its two figures; below, what does not balance and where to look."""
    table = grid("Books", "", "", "here", "must be equal to")
    for check in checks:
        mark = Text("✓", "green") if check.holds else Text("✗", "bold red")
        table.add_row(mark, Text(check.what, "bold"), shown(check.left), shown(check.right))
    show_table(console, table)
    for check in checks:
        for fault in check.faults[:_FAULTS_SHOWN]:
            console.print(Text(f"✗ {check.what}: {fault}", "red"), soft_wrap=True)
        if len(check.faults) > _FAULTS_SHOWN:
            console.print(Text(f"  … and {len(check.faults) - _FAULTS_SHOWN:,} more", "red"))


def _show_dead_letters(console: Console, evidence: Evidence) -> None:
    """What each dead-letter queue holds, or that all are empty."""
    letters = {queue: each for queue, each in evidence.dead_letters.items() if each}
    if not letters:
        console.print(f"All {len(evidence.dead_letters)} dead-letter queues are empty.")
    for queue, messages in letters.items():
        console.print(Text(f"{queue} holds {len(messages):,}:", "bold red"))
        for message in messages[:_LETTERS_SHOWN]:
            console.print(Padding(Text(_letter(message)), (0, 0, 0, 2), expand=False))
        if len(messages) > _LETTERS_SHOWN:
            console.print(f"  … and {len(messages) - _LETTERS_SHOWN:,} more")


def _counts(title: str, counts: Mapping[str, int]) -> Table:
    table = grid(title, "", "")
    table.show_header = False
    table.columns[1].justify = "right"
    for what, times in sorted(counts.items()):
        table.add_row(what, f"{times:,}")
    return table


def _letter(message: Mapping[str, Any]) -> str:
    """Return a parked message as text: its reason, then its body."""
    attributes = message["attributes"]
    reason = attributes.get("Reason") or attributes.get("ERROR_MESSAGE") or "received too often"
    text = f"{reason}: {message['body']}"
    more = len(text) - _LETTER_SHOWN
    return f"{text[:_LETTER_SHOWN]} … and {more:,} more characters" if more > 0 else text
