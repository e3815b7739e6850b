"""Import a stock file: good rows become stock and prices, and a report lists the others."""

from collections.abc import Iterator
from datetime import datetime
from itertools import islice

from lambdas.eventing import telemetry
from lambdas.eventing.declaration import BATCH_GET, GET, PUT, UPDATE
from lambdas.eventing.stored_object import StoredObject, object_consumer
from lambdas.inventory import stock_store, supplier_files
from lambdas.inventory.csv_table import GoodRow, Refused
from lambdas.inventory.domain import ReceivedItem
from lambdas.inventory.events import ItemPriced, StockReplenished
from lambdas.inventory.stock_file import Report
from lambdas.inventory.supplier_files import INCOMING, REPORTS

_MARGIN_S = 60
"""Time to commit one more part under contention, and to write the report."""


class OutOfTime(Exception):
    """The function has no time left: the next delivery continues where this one stops."""


@object_consumer(publishes=(ItemPriced, StockReplenished), uses=(GET, BATCH_GET, UPDATE, PUT))
def handler(file: StoredObject) -> None:
    """Read the whole file in each run, and import the rows that no earlier run has imported.

    So every run writes a complete report, and repeating a run changes nothing. Only objects under
    `incoming/` get a report: a report on a report would never end.
    """
    if not file.key.startswith(INCOMING):
        _notice(file)
        return
    report = Report(file=file.key, version=file.version_id)
    try:
        with supplier_files.opened(file) as upload:
            _take(report.good(upload.content), file, upload.at)
    except Refused as refused:
        report.refused = str(refused)
        telemetry.count("StockFilesRefused")
    supplier_files.answer(file, report)
    telemetry.count("StockRowsWrong", report.rows_wrong)


def _notice(file: StoredObject) -> None:
    """Logs and counts an object that is neither a supplier's file nor a report."""
    if not file.key.startswith(REPORTS):
        telemetry.logger().warning("an object is neither a file nor a report")
        telemetry.count("StrayObjects")


def _take(rows: Iterator[GoodRow[ReceivedItem]], file: StoredObject, uploaded_at: datetime) -> None:
    taken = stock_store.lines_taken(file.name)
    remaining = (row for row in rows if row.line > taken)
    while part := list(islice(remaining, stock_store.ROWS)):
        if file.seconds_left() < _MARGIN_S:
            raise OutOfTime(f"{file.name} is taken up to line {taken}")
        last = part[-1].line
        items = [row.item for row in part]
        outdated = stock_store.receive_rows(
            items, file=file.name, uploaded_at=uploaded_at, after=taken, up_to=last, cause=file
        )
        telemetry.count("StockRowsTaken", len(part))
        telemetry.count("StockPricesOutdated", outdated)
        taken = last
