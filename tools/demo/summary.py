"""What the demo prints: the endpoint while it runs, and the summary at the end."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.columns import Columns
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from cdk_rehearsal import Rehearsal
from tools.demo.audit import Check, side_text
from tools.demo.console import grid, show_table
from tools.demo.evidence import ORDERS, Evidence
from tools.demo.run import DemoRun
from tools.demo.trace import most_interesting, trace, trace_table

_FINDINGS_SHOWN = 10
_LETTERS_SHOWN = 5
_LETTER_SHOWN = 2_000
"""The printed characters of a parked message."""


def show_page(console: Console, url: str, *, stays: bool) -> None:
    """Prints the URL of the live page, if there is one."""
    if url:
        until = "until Ctrl-C" if stays else "until the demo ends; with ARGS=--stay, until Ctrl-C"
        console.print(Text.assemble("Watch it live ", (f"({until}):", "dim")), soft_wrap=True)
        console.print(Text(f"  {url}", "bold"), soft_wrap=True)


def show_endpoint(console: Console, shop: Rehearsal, *, hold: bool) -> None:
    """Prints commands that read the tables and queues while the demo runs.

    Each command names the endpoint, because version 1 of the AWS CLI ignores AWS_ENDPOINT_URL for
    SQS: https://github.com/aws/aws-cli/issues/8737
    """
    url = shop.serve()
    aws = f"aws --endpoint-url {url} --region {shop.region}"
    until = "" if hold else "until the demo ends;\nwith make demo ARGS=--hold, "
    lines = (
        f"{len(shop.resources)} resources and {len(shop.functions)} functions of the templates "
        "are running.",
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


def show_summary(console: Console, run: DemoRun) -> None:
    """Prints the results of a run: a trace, counts, the audit and the dead-letter queues."""
    _show_trace(console, run)
    counts = {
        "Refused by the API": run.refusals,
        "Rejected by checkout": run.evidence.rejections(),
        "Events on the bus": run.evidence.published_types(),
        "Repeated requests": run.journal.repeated,
    }
    tables = [_counts(title, each) for title, each in counts.items() if each]
    console.print()
    console.print(Columns(tables, padding=(0, 4)))
    console.print()
    _show_audit(console, run.checks)
    console.print()
    _show_dead_letters(console, run.evidence)
    console.print()
    if run.passes:
        console.print(Text(f"The audit passes, after {run.seconds:.1f} s.", "bold green"))
    else:
        wrong = sum(not check.holds for check in run.checks)
        text = f"The audit fails: {wrong} of {len(run.checks)} checks have findings."
        console.print(Text(text, "bold red"))


def _show_trace(console: Console, run: DemoRun) -> None:
    timeline = most_interesting(list(run.timelines.by_order.values()))
    if timeline:
        lines = trace(run.records, run.journal.answers, timeline.order_id)
        console.print()
        show_table(console, trace_table(timeline, lines))


def _show_audit(console: Console, checks: Sequence[Check]) -> None:
    """Prints each check with its two figures, and then the findings."""
    table = grid("Audit", "", "", "here", "must be equal to")
    for check in checks:
        mark = Text("✓", "green") if check.holds else Text("✗", "bold red")
        table.add_row(mark, Text(check.what, "bold"), side_text(check.left), side_text(check.right))
    show_table(console, table)
    for check in checks:
        for finding in check.findings[:_FINDINGS_SHOWN]:
            console.print(Text(f"✗ {check.what}: {finding}", "red"), soft_wrap=True)
        if len(check.findings) > _FINDINGS_SHOWN:
            console.print(Text(f"  … and {len(check.findings) - _FINDINGS_SHOWN:,} more", "red"))


def _show_dead_letters(console: Console, evidence: Evidence) -> None:
    """Prints the content of the dead-letter queues, or that all are empty."""
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
    """Returns a parked message as text: its reason, then its body."""
    attributes = message["attributes"]
    reason = attributes.get("Reason") or attributes.get("ERROR_MESSAGE") or "received too often"
    text = f"{reason}: {message['body']}"
    more = len(text) - _LETTER_SHOWN
    return f"{text[:_LETTER_SHOWN]} … and {more:,} more characters" if more > 0 else text
