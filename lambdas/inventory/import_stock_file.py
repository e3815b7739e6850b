"""Import a stock file: good rows become stock and costs, and a report lists the others."""

from collections.abc import Iterator

from lambdas.eventing import telemetry
from lambdas.eventing.declaration import BATCH_GET, GET, PUT, UPDATE
from lambdas.eventing.stored_object import StoredObject, object_consumer
from lambdas.inventory import stock_store, supplier_files
from lambdas.inventory.csv_table import GoodRow, Refused
from lambdas.inventory.domain import ReceivedItem
from lambdas.inventory.events import ItemCosted, StockReplenished
from lambdas.inventory.stock_file import Report
from lambdas.inventory.supplier_files import INCOMING, REPORTS, Upload

_MARGIN_S = 60
"""Time to commit one more part under contention, and to write the report."""

Part = list[GoodRow[ReceivedItem]]


class OutOfTime(Exception):
    """The function has no time left: the next delivery continues where this one stops."""


@object_consumer(publishes=(ItemCosted, StockReplenished), uses=(GET, BATCH_GET, UPDATE, PUT))
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
            _take(file, supplier_files.supplier_of(file), upload, report)
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


def _take(file: StoredObject, supplier: str, upload: Upload, report: Report) -> None:
    taken = stock_store.lines_taken(file.name)
    for part in _parts(report.good(upload.content), taken):
        items, last = [row.item for row in part], part[-1].line
        if last <= taken:
            foreign = stock_store.foreign([item.sku for item in items], supplier)
        else:
            if file.seconds_left() < _MARGIN_S:
                raise OutOfTime(f"{file.name} is taken up to line {taken}")
            received = stock_store.receive_rows(
                items,
                supplier=supplier,
                file=file.name,
                uploaded_at=upload.at,
                after=taken,
                up_to=last,
                cause=file,
            )
            foreign, taken = received.foreign, last
            telemetry.count("StockRowsTaken", len(part) - len(foreign))
            telemetry.count("StockCostsOutdated", received.outdated)
        for row in part:
            if row.item.sku in foreign:
                report.disown(row)


def _parts(rows: Iterator[GoodRow[ReceivedItem]], taken: int) -> Iterator[Part]:
    """Yields rows in parts: those up to the line `taken`, and then the others."""
    part: Part = []
    for row in rows:
        if part and (len(part) == stock_store.ROWS or part[-1].line <= taken < row.line):
            yield part
            part = []
        part.append(row)
    if part:
        yield part
