"""The results of a run as JSON."""

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tools.demo.audit import authorized
from tools.demo.audit.orders import ACTIVE
from tools.demo.csv_file import FileContent
from tools.demo.orders_file import CustomerOrder
from tools.demo.run import DemoRun


class UnwritableReport(Exception):
    """The report cannot be written to its path."""


def require_writable(*paths: Path | None, inputs: Iterable[Path | None]) -> None:
    """Raises UnwritableReport if one of the paths is not writable or is one of the inputs."""
    read = [*filter(None, inputs)]
    for path in filter(None, paths):
        _require_writable(path, read)


def _require_writable(path: Path, inputs: Iterable[Path]) -> None:
    try:
        existed = path.exists()
        for read in inputs:
            if existed and read.exists() and path.samefile(read):
                raise UnwritableReport(
                    f"the report would overwrite the input file {read}: name another file"
                )
        path.open("a").close()
    except OSError as error:
        raise UnwritableReport(f"no report can be written to {path}: {error.strerror}") from error
    if not existed:
        path.resolve().unlink()


def report(run: DemoRun, wanted: FileContent[CustomerOrder], *, seed: int) -> dict[str, Any]:
    """Returns the report. Amounts are in minor units, `seconds` in real time.

    The same input and seed give the same report, except for `seconds`.
    """
    evidence = run.evidence
    orders = evidence.orders.values()
    statuses = Counter(order.status for order in orders)
    money = authorized(evidence)
    return {
        "orders": {
            "placed": len(orders),
            "refused": run.refusals.total(),
            "confirmed": sum(statuses[status] for status in (*ACTIVE, "returned")),
            "rejected": statuses["rejected"],
            "cancelled": statuses["cancelled"],
            "expired": statuses["expired"],
            "pending": statuses["placed"],
        },
        "statuses": dict(statuses),
        "parcels": dict(Counter(evidence.shipments.values())),
        "returns": {
            "approved": sum(evidence.decided.values()),
            "refused": len(evidence.decided) - sum(evidence.decided.values()),
        },
        "messages": {channel.value: sent.total() for channel, sent in evidence.sent.items()},
        "sales": {
            "units": evidence.sold_units.total(),
            "revenue_minor": evidence.sold_for.total(),
            "activity": evidence.counted_activity.total(),
        },
        "refusals": dict(run.refusals),
        "rejections": dict(evidence.rejections()),
        "repeated_requests": dict(run.journal.repeated),
        "stock": {
            sku: {
                "initial": item.received,
                "reserved": item.reserved,
                "issued": item.issued,
                "returned": item.returned,
                "on_hand": item.received - item.issued + item.returned,
            }
            for sku, item in evidence.stock.items()
        },
        "money": {
            "authorized_minor": money.gross.total(),
            "released_minor": money.released.total(),
            "refunded_minor": money.refunded.total(),
            "by_currency": {
                currency: {
                    "authorized_minor": money.gross[currency],
                    "released_minor": money.released[currency],
                    "refunded_minor": money.refunded[currency],
                }
                for currency in money.gross
            },
        },
        "events": dict(evidence.published_types()),
        "dead_letters": {queue: len(each) for queue, each in evidence.dead_letters.items()},
        "invocations": dict(run.counts.invocations),
        "rows": {"read": wanted.rows_read, "skipped": len(wanted.skipped)},
        "balanced": run.passes,
        "faults": [finding for check in run.checks for finding in check.findings],
        "seconds": round(run.seconds, 1),
        "seed": seed,
    }


def write(path: Path, content: dict[str, Any]) -> None:
    """Writes the report with its keys sorted. Raises UnwritableReport, as on a full disk."""
    text = json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False)
    try:
        path.write_text(f"{text}\n", encoding="utf-8")
    except OSError as error:
        raise UnwritableReport(f"no report can be written to {path}: {error.strerror}") from error
