"""Importing stock files: each version of a file is imported once, despite faults."""

import io
import json
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from hashlib import sha256
from typing import Any

import msgspec
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from lambdas.eventing import aws
from lambdas.eventing.event import Cause
from lambdas.eventing.transaction import MAX_OPERATIONS
from lambdas.inventory import stock_store
from lambdas.inventory.events import ItemCosted, StockReplenished
from tests.inventory.context import MORNING, SETTINGS, Inventory
from tests.inventory.suppliers import KEY, Suppliers, csv, rows
from tests.support.cloud import Cloud, Commits, Crash, crash
from tests.support.objects import TEST_EVENT, Bucket, notification, record


@pytest.fixture
def suppliers(inventory: Inventory) -> Suppliers:
    """Suppliers with their bucket."""
    return Suppliers(inventory, Bucket.versioned("supplier-files"))


@pytest.fixture
def parts_of_two(cloud: Cloud) -> None:
    """Splits short files into several transactions, as long ones are."""
    cloud.monkeypatch.setattr(stock_store, "ROWS", 2)


def parked(inventory: Inventory) -> str:
    """The reason of the only parked message."""
    (message,) = inventory.parking.messages()
    return str(message["MessageAttributes"]["Reason"]["StringValue"])


class TestImport:
    def test_units_of_good_rows_are_available_at_once(
        self, suppliers: Suppliers, inventory: Inventory
    ) -> None:
        answer = suppliers.send(rows([("MUG", 10), ("PEN", 5)]))
        assert inventory.available() == {"MUG": 10, "PEN": 5}
        assert inventory.balanced()
        assert answer["result"] == "accepted"
        assert answer["rows_taken"] == 2
        assert inventory.parking.messages() == []

    def test_received_units_and_costs_are_published(
        self, suppliers: Suppliers, inventory: Inventory
    ) -> None:
        body = suppliers.drop(csv("MUG,10,1250,EUR", "PEN,0,200,USD"))
        assert suppliers.deliver(body) == []
        (replenished,) = inventory.table.envelopes(StockReplenished)
        assert msgspec.json.decode(replenished.data, type=StockReplenished).quantity == 10
        version = json.loads(body)["Records"][0]["s3"]["object"]["versionId"]
        assert replenished.correlationid == f"supplier-files/{KEY}@{version}"
        costs = {
            event.sku: (event.unit_cost_minor, event.currency, event.revision)
            for event in inventory.table.events(ItemCosted)
        }
        assert costs == {"MUG": (1250, "EUR", 1), "PEN": (200, "USD", 1)}

    def test_a_later_file_adds_units_and_changes_costs(
        self, suppliers: Suppliers, inventory: Inventory
    ) -> None:
        suppliers.send(rows([("MUG", 10), ("PEN", 5)]), key="incoming/north/monday.csv")
        suppliers.send(rows([("MUG", 1)], cost=1300), key="incoming/north/tuesday.csv")
        assert inventory.available() == {"MUG": 11, "PEN": 5}
        assert len(inventory.table.envelopes(ItemCosted)) == 3

    def test_a_new_cost_gets_the_next_revision_and_an_unchanged_cost_no_event(
        self, suppliers: Suppliers, inventory: Inventory
    ) -> None:
        for cost in (1250, 1250, 1300, 1250):
            suppliers.send(rows([("MUG", 1)], cost=cost))
        events = inventory.table.events(ItemCosted)
        costs = {event.revision: event.unit_cost_minor for event in events}
        assert costs == {1: 1250, 2: 1300, 3: 1250}
        assert len(events) == 3

    def test_invalid_rows_are_reported_and_the_others_imported(
        self, suppliers: Suppliers, inventory: Inventory
    ) -> None:
        answer = suppliers.send(csv("MUG,10,1250,EUR", "PEN,-1,100,EUR", "CUP,2,100,EUR"))
        assert inventory.available() == {"MUG": 10, "CUP": 2}
        assert answer["result"] == "accepted in part"
        assert [wrong["line"] for wrong in answer["wrong"]] == [3]

    def test_a_file_that_is_no_stock_file_changes_nothing_and_gets_a_report(
        self, suppliers: Suppliers, inventory: Inventory
    ) -> None:
        answer = suppliers.send(b"\x89PNG\r\n\x1a\n")
        assert answer["result"] == "refused"
        assert "neither UTF-8 nor UTF-16" in answer["refused"]
        assert inventory.table.items() == []
        assert inventory.parking.messages() == []

    def test_a_file_that_is_too_large_is_rejected_unread(
        self, suppliers: Suppliers, inventory: Inventory, cloud: Cloud
    ) -> None:
        content = rows([("MUG", 10)])
        limit = "lambdas.inventory.csv_table.MAX_BYTES"
        cloud.monkeypatch.setattr(limit, len(content) - 1)
        answer = suppliers.send(content)
        assert answer["refused"] == f"the file has more than {len(content) - 1:,} bytes: split it"
        assert inventory.table.items() == []
        cloud.monkeypatch.setattr(limit, len(content))
        assert suppliers.send(content)["result"] == "accepted"

    def test_rows_are_imported_in_as_few_transactions_as_possible(
        self, suppliers: Suppliers, inventory: Inventory, commits: Commits
    ) -> None:
        """A transaction holds 33 rows, so a file of 100,000 rows needs 3,031 transactions."""
        stock = {f"SKU-{number:03}": number + 1 for number in range(100)}
        suppliers.send(rows(stock.items()))
        assert inventory.available() == stock
        assert commits.sizes == [100, 100, 100, 4]
        assert max(commits.sizes) <= MAX_OPERATIONS

    def test_reserved_units_stay_reserved(self, suppliers: Suppliers, inventory: Inventory) -> None:
        suppliers.send(rows([("MUG", 10)]))
        inventory.order(MUG=4)
        inventory.reserve()
        suppliers.send(rows([("MUG", 5)]))
        assert inventory.stock() == (15, 11, 4)


class TestOrder:
    """S3 and SQS keep no order, imports run concurrently, and one can be resumed days later."""

    NOON = MORNING + timedelta(hours=3)
    LIST = csv("A,1,100,EUR", "B,1,100,EUR", "MUG,10,1,EUR")
    """A file with a mistake: the mug does not cost one cent."""
    CORRECTION = csv("MUG,5,1250,EUR")

    @staticmethod
    def costs(inventory: Inventory) -> list[tuple[int, int]]:
        """The published costs of the mug by revision; the stored cost must be the last one."""
        answer = sorted(
            (event.revision, event.unit_cost_minor)
            for event in inventory.table.events(ItemCosted)
            if event.sku == "MUG"
        )
        (stored,) = [item for item in inventory.table.items("stock") if item["pk"] == "STOCK#MUG"]
        assert (stored["cost_revision"], stored["unit_cost_minor"]) == answer[-1]
        return answer

    def test_the_cost_of_the_latest_upload_counts_in_any_sequence_of_arrival(
        self, suppliers: Suppliers, inventory: Inventory
    ) -> None:
        early = suppliers.drop(self.LIST)
        late = suppliers.drop(self.CORRECTION, at=self.NOON)
        assert suppliers.deliver(late, early) == []
        assert self.costs(inventory) == [(1, 1250)]
        assert inventory.available()["MUG"] == 15

    @pytest.mark.usefixtures("parts_of_two")
    def test_a_file_overtaken_by_its_correction_does_not_revert_a_cost(
        self, suppliers: Suppliers, inventory: Inventory, commits: Commits
    ) -> None:
        early = suppliers.drop(self.LIST)
        late = suppliers.drop(self.CORRECTION, at=self.NOON)
        commits.before(2, partial(suppliers.deliver, late))
        assert suppliers.deliver(early) == []
        assert self.costs(inventory) == [(1, 1250)]
        assert inventory.available()["MUG"] == 15

    @pytest.mark.usefixtures("parts_of_two")
    def test_a_file_resumed_after_its_correction_does_not_revert_a_cost(
        self, suppliers: Suppliers, inventory: Inventory
    ) -> None:
        early = suppliers.drop(self.LIST)
        assert suppliers.deliver(early, seconds=[900, 59]) == ["m1"]
        assert suppliers.deliver(suppliers.drop(self.CORRECTION, at=self.NOON)) == []
        assert suppliers.deliver(early) == []
        assert self.costs(inventory) == [(1, 1250)]
        assert inventory.available()["MUG"] == 15

    def test_a_cost_confirmed_by_a_later_upload_is_not_reverted(
        self, suppliers: Suppliers, inventory: Inventory
    ) -> None:
        suppliers.deliver(suppliers.drop(self.CORRECTION))
        early = suppliers.drop(self.LIST, at=self.NOON)
        suppliers.deliver(suppliers.drop(self.CORRECTION, at=self.NOON + timedelta(hours=1)))
        suppliers.deliver(early)
        assert self.costs(inventory) == [(1, 1250)]

    def test_a_concurrent_confirmation_of_a_cost_prevents_its_change(
        self, suppliers: Suppliers, inventory: Inventory, commits: Commits
    ) -> None:
        """It arrives between read and commit: the cost is the same, but its upload is newer."""
        suppliers.deliver(suppliers.drop(self.CORRECTION))
        early = suppliers.drop(self.LIST, at=self.NOON)
        late = suppliers.drop(self.CORRECTION, at=self.NOON + timedelta(hours=1))
        commits.before(1, partial(suppliers.deliver, late))
        assert suppliers.deliver(early) == []
        assert self.costs(inventory) == [(1, 1250)]

    def test_several_outdated_files_do_not_change_a_cost(
        self, suppliers: Suppliers, inventory: Inventory
    ) -> None:
        early, less_early = (
            suppliers.drop(self.LIST, at=MORNING + timedelta(hours=hour)) for hour in (0, 1)
        )
        suppliers.deliver(suppliers.drop(self.CORRECTION, at=self.NOON))
        assert suppliers.deliver(early, less_early) == []
        assert self.costs(inventory) == [(1, 1250)]

    def test_outdated_costs_are_counted(
        self, suppliers: Suppliers, capsys: pytest.CaptureFixture[str]
    ) -> None:
        early = suppliers.drop(self.LIST)
        suppliers.deliver(suppliers.drop(self.CORRECTION, at=self.NOON))
        capsys.readouterr()
        suppliers.deliver(early)
        (metrics,) = [
            json.loads(line) for line in capsys.readouterr().out.splitlines() if "_aws" in line
        ]
        assert metrics["StockCostsOutdated"] == [1.0]

    def test_an_item_that_an_earlier_release_stored_gets_a_cost_and_a_supplier(
        self, suppliers: Suppliers, inventory: Inventory
    ) -> None:
        """Its price of then stays what it was: the selling price."""
        price = {"unit_price_minor": 1250, "currency": "EUR", "priced_at": 1, "price_revision": 3}
        units = {"received": 2, "available": 1, "reserved": 1}
        key = {"pk": "STOCK#MUG", "sk": "STOCK", "kind": "stock"}
        inventory.table.put({**key, **units, **price})

        assert suppliers.deliver(suppliers.drop(self.CORRECTION)) == []

        stored = inventory.table.one("stock")
        assert {name: stored[name] for name in price} == price
        assert (stored["received"], stored["available"], stored["supplier"]) == (7, 6, "north")
        assert self.costs(inventory) == [(1, 1250)]


class TestSuppliers:
    """An item belongs to the supplier who delivers it first, unless staff decide otherwise."""

    SOUTH = "incoming/south/monday.csv"

    def test_a_supplier_cannot_set_stock_or_cost_of_another_ones_item(
        self, suppliers: Suppliers, inventory: Inventory
    ) -> None:
        suppliers.send(csv("MUG,10,800,EUR"))
        before = inventory.table.one("stock")

        answer = suppliers.send(csv("PEN,5,100,EUR", "MUG,99,1,EUR"), key=self.SOUTH)

        assert [item for item in inventory.table.items("stock") if "MUG" in item["pk"]] == [before]
        assert inventory.available() == {"MUG": 10, "PEN": 5}
        assert [event.sku for event in inventory.table.events(ItemCosted)] == ["MUG", "PEN"]
        counts = (answer["result"], answer["rows_taken"], answer["rows_wrong"])
        assert counts == ("accepted in part", 1, 1)
        said = 'sku "MUG" belongs to another supplier: ask the shop'
        assert answer["wrong"] == [{"line": 3, "reason": said}]

    def test_a_file_with_only_foreign_items_is_refused(self, suppliers: Suppliers) -> None:
        suppliers.send(csv("MUG,10,800,EUR"))
        assert suppliers.send(csv("MUG,0,1,EUR"), key=self.SOUTH)["result"] == "refused"

    def test_of_two_concurrent_first_deliveries_one_counts(
        self, suppliers: Suppliers, inventory: Inventory, commits: Commits
    ) -> None:
        north, south = (
            suppliers.drop(csv("MUG,1,1,EUR")),
            suppliers.drop(csv("MUG,2,2,EUR"), self.SOUTH),
        )
        commits.before(1, partial(suppliers.deliver, south))
        assert suppliers.deliver(north) == []
        assert inventory.available() == {"MUG": 2}
        assert suppliers.report(north)["rows_wrong"] == 1

    def test_staff_can_give_an_item_to_another_supplier(
        self, suppliers: Suppliers, inventory: Inventory
    ) -> None:
        suppliers.send(csv("MUG,10,800,EUR"))
        cause = Cause(correlation_id="request-1")
        stock_store.assign("MUG", "south", "clerk-1", MORNING, cause)

        assert suppliers.send(csv("MUG,1,800,EUR"))["rows_wrong"] == 1
        assert suppliers.send(csv("MUG,2,800,EUR"), key=self.SOUTH)["rows_wrong"] == 0
        assert inventory.available() == {"MUG": 12}

    def test_an_item_can_be_assigned_before_its_first_delivery(
        self, suppliers: Suppliers, inventory: Inventory
    ) -> None:
        stock_store.assign("MUG", "south", "clerk-1", MORNING, Cause(correlation_id="request-1"))

        assert suppliers.send(csv("MUG,1,800,EUR"))["rows_wrong"] == 1
        assert suppliers.send(csv("MUG,2,800,EUR"), key=self.SOUTH)["rows_wrong"] == 0
        assert inventory.available() == {"MUG": 2}
        assert inventory.balanced()

    def test_an_assignment_between_read_and_commit_counts(
        self, suppliers: Suppliers, inventory: Inventory, commits: Commits
    ) -> None:
        suppliers.send(csv("MUG,10,800,EUR"))
        cause = Cause(correlation_id="request-1")
        assign = partial(stock_store.assign, "MUG", "south", "clerk-1", MORNING, cause)
        body = suppliers.drop(csv("MUG,1,800,EUR"))
        commits.before(1, assign)
        assert suppliers.deliver(body) == []
        assert suppliers.report(body)["rows_wrong"] == 1
        assert inventory.available() == {"MUG": 10}

    @pytest.mark.usefixtures("parts_of_two")
    @pytest.mark.parametrize("number", [1, 2, 3])
    def test_a_resumed_import_reports_foreign_items_of_all_parts(
        self, suppliers: Suppliers, inventory: Inventory, commits: Commits, number: int
    ) -> None:
        suppliers.send(csv("A,1,1,EUR", "D,1,1,EUR", "E,1,1,EUR"))
        body = suppliers.drop(csv(*(f"{sku},2,1,EUR" for sku in "ABCDE")), self.SOUTH)
        commits.after(number, crash)
        with pytest.raises(Crash):
            suppliers.deliver(body)

        assert suppliers.deliver(body) == []

        report = suppliers.report(body)
        assert (report["rows_taken"], report["rows_wrong"]) == (2, 3)
        assert [wrong["line"] for wrong in report["wrong"]] == [2, 5, 6]
        assert inventory.available() == {"A": 1, "B": 2, "C": 2, "D": 1, "E": 1}

    @pytest.mark.parametrize("key", ["incoming/a.csv", "incoming/North/a.csv", "incoming//a.csv"])
    def test_a_file_in_no_suppliers_folder_is_refused(
        self, suppliers: Suppliers, inventory: Inventory, key: str
    ) -> None:
        answer = suppliers.send(csv("MUG,10,800,EUR"), key=key)
        assert (answer["result"], inventory.table.items()) == ("refused", [])
        assert "upload it to incoming/SUPPLIER/" in answer["refused"]

    def test_the_former_name_of_the_cost_is_accepted(self, suppliers: Suppliers) -> None:
        content = b"sku,quantity,unit_price_minor,currency\nMUG,10,800,EUR\n"
        suppliers.send(content)
        (event,) = suppliers.inventory.table.events(ItemCosted)
        assert event.unit_cost_minor == 800

    def test_both_names_of_the_cost_are_refused(self, suppliers: Suppliers) -> None:
        content = b"sku,quantity,unit_price_minor,unit_cost_minor,currency\nMUG,1,8,8,EUR\n"
        assert "repeated: unit_cost_minor" in suppliers.send(content)["refused"]


class TestReports:
    def test_a_report_is_stored_under_the_reports_prefix(self, suppliers: Suppliers) -> None:
        body = suppliers.drop(rows([("MUG", 10)]), key="incoming/acme/monday.csv")
        suppliers.deliver(body)
        version = json.loads(body)["Records"][0]["s3"]["object"]["versionId"]
        (key,) = suppliers.bucket.keys("reports/")
        assert key == f"reports/acme/monday.csv/{version}.json"

    def test_a_repeated_report_is_equal_and_has_the_same_key(self, suppliers: Suppliers) -> None:
        body = suppliers.drop(csv("MUG,10,1250,EUR", "PEN,-1,100,EUR"))
        suppliers.deliver(body)
        answer = suppliers.report(body)
        suppliers.deliver(body)
        assert len(suppliers.bucket.keys("reports/")) == 1
        assert suppliers.report(body) == answer

    def test_each_version_of_a_file_has_its_own_report(self, suppliers: Suppliers) -> None:
        bodies = [suppliers.drop(rows([("MUG", units)])) for units in (1, 2)]
        suppliers.deliver(*bodies)
        versions = [suppliers.report(body)["version"] for body in bodies]
        assert len(set(versions)) == 2

    @pytest.mark.parametrize("letter", ["x", "ж", "件", "🛒"])
    def test_the_report_on_a_file_with_too_long_a_name_is_stored_under_a_hash(
        self, suppliers: Suppliers, inventory: Inventory, letter: str
    ) -> None:
        """A key of S3 has at most 1,024 bytes in UTF-8."""
        room = 1024 - len(b"incoming/north/")
        key = f"incoming/north/{room // len(letter.encode()) * letter}"
        answer = suppliers.send(rows([("MUG", 1)]), key=key)
        assert (answer["result"], answer["file"]) == ("accepted", key)
        assert inventory.available() == {"MUG": 1}
        (report,) = suppliers.bucket.keys("reports/")
        assert report.split("/")[1:3] == ["north", sha256(key.encode()).hexdigest()]

    def test_the_longest_possible_name_is_unchanged(self, suppliers: Suppliers) -> None:
        body = suppliers.drop(rows([("MUG", 1)]))
        version = json.loads(body)["Records"][0]["s3"]["object"]["versionId"]
        room = 1024 - len(f"reports/north//{version}.json")
        for length, stays in ((room, True), (room + 1, False)):
            name = length * "x"
            suppliers.send(rows([("MUG", 1)]), key=f"incoming/north/{name}")
            assert bool(suppliers.bucket.keys(f"reports/north/{name}/")) is stays

    def test_a_report_that_cannot_be_written_is_retried(
        self, suppliers: Suppliers, inventory: Inventory
    ) -> None:
        body = suppliers.drop(rows([("MUG", 10)]))

        def refuse(**_: Any) -> None:
            raise ConnectionError("no way to S3")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(aws.s3(), "put_object", refuse)
            assert suppliers.deliver(body) == ["m1"]
        assert suppliers.deliver(body) == []
        assert inventory.stock() == (10, 10, 0)
        assert suppliers.report(body)["rows_taken"] == 1


class TestEveryObject:
    @pytest.mark.parametrize(
        "name",
        [
            "STOCK.CSV",
            "stock.csv.txt",
            "stock",
            ".csv",
            "acme/2026/01/stock.Csv",
            "a b.csv",
            " .csv",
            "1+1=2 & more?.csv",
            "50%25.csv",
            "Bestände.csv",
            "库存 📦.csv",
            "x\u00a0\u200d\u202e.csv",
            "tab\there.csv",
            "a//b.csv",
            "incoming/stock.csv",
            "reports/stock.csv",
            "ends in a slash/",
        ],
    )
    def test_a_stock_file_is_imported_under_any_name(
        self, suppliers: Suppliers, inventory: Inventory, name: str
    ) -> None:
        answer = suppliers.send(rows([("MUG", 10)]), key=f"incoming/north/{name}")
        assert (answer["result"], answer["file"]) == ("accepted", f"incoming/north/{name}")
        assert inventory.available() == {"MUG": 10}
        assert len(suppliers.bucket.keys("reports/")) == 1

    @pytest.mark.parametrize(
        ("name", "content", "reason"),
        [
            ("stock.xlsx", b"PK\x03\x04\x14\x00", "Excel workbook"),
            ("stock.csv", b"", "the file is empty"),
            ("readme.txt", b"Dear shop,\n", "line 1 must be"),
            ("", b"", "a folder, not a file"),
            ("acme/", b"", "a folder, not a file"),
            ("acme/2026/", b"", "a folder, not a file"),
        ],
    )
    def test_any_other_object_gets_a_report_with_the_reason(
        self, suppliers: Suppliers, inventory: Inventory, name: str, content: bytes, reason: str
    ) -> None:
        answer = suppliers.send(content, key=f"incoming/north/{name}")
        assert answer["result"] == "refused"
        assert reason in answer["refused"]
        assert inventory.table.items() == []
        assert inventory.parking.messages() == []

    def test_the_report_on_a_folder_is_in_the_folder_of_its_name(
        self, suppliers: Suppliers
    ) -> None:
        for key, folder in {"incoming/": "reports", "incoming/acme/": "reports/acme"}.items():
            version = suppliers.send(b"", key=key)["version"]
            assert suppliers.bucket.keys(f"{folder}/{version}") == [f"{folder}/{version}.json"]

    def test_a_file_in_archive_storage_gets_a_report_with_the_reason(
        self, suppliers: Suppliers
    ) -> None:
        stored = aws.s3().put_object(
            Bucket=suppliers.bucket.name, Key=KEY, Body=b"x", StorageClass="GLACIER"
        )
        body = notification(record(suppliers.bucket.name, KEY, stored["VersionId"], size=1))
        assert suppliers.deliver(body) == []
        assert "archive storage" in suppliers.report(body)["refused"]

    def test_the_reason_for_parking_a_file_escapes_control_characters(
        self, suppliers: Suppliers, inventory: Inventory
    ) -> None:
        """SQS rejects control characters in message attributes, unlike moto."""
        name = "incoming/bell\x07\x00\ufffe.csv"
        body = notification(record(suppliers.bucket.name, name, "gone"))
        assert suppliers.deliver(body) == []
        reason = parked(inventory)
        assert reason.isprintable()
        assert r"bell\x07\x00\ufffe.csv" in reason


class TestStrays:
    @pytest.mark.parametrize(
        "key", ["stock.csv", "Incoming/stock.csv", "incoming", "incoming.csv", "/incoming/a.csv"]
    )
    def test_an_object_outside_incoming_is_counted_and_ignored(
        self,
        suppliers: Suppliers,
        inventory: Inventory,
        capsys: pytest.CaptureFixture[str],
        caplog: pytest.LogCaptureFixture,
        key: str,
    ) -> None:
        assert suppliers.deliver(suppliers.drop(rows([("MUG", 10)]), key=key)) == []
        assert suppliers.bucket.keys("") == [key]
        assert inventory.table.items() == []
        (metrics,) = [line for line in capsys.readouterr().out.splitlines() if "_aws" in line]
        assert json.loads(metrics)["StrayObjects"] == [1.0]
        assert [line.levelname for line in caplog.records] == ["WARNING"]

    def test_a_report_is_neither_counted_nor_reported_on(
        self, suppliers: Suppliers, capsys: pytest.CaptureFixture[str]
    ) -> None:
        suppliers.send(rows([("MUG", 10)]))
        capsys.readouterr()
        (key,) = suppliers.bucket.keys("reports/")
        body = suppliers.drop(suppliers.bucket.get(key), key=key)
        assert suppliers.deliver(body) == []
        assert suppliers.bucket.keys("reports/") == [key]
        assert "StrayObjects" not in capsys.readouterr().out


class TestOnce:
    def test_a_notification_delivered_twice_counts_once(
        self, suppliers: Suppliers, inventory: Inventory
    ) -> None:
        body = suppliers.drop(rows([("MUG", 10)]))
        assert suppliers.deliver(body, body) == []
        published = inventory.table.published()
        assert suppliers.deliver(body) == []
        assert inventory.stock() == (10, 10, 0)
        assert inventory.table.published() == published

    def test_a_new_version_of_a_file_is_a_new_delivery(
        self, suppliers: Suppliers, inventory: Inventory
    ) -> None:
        for _ in range(2):
            suppliers.send(rows([("MUG", 10)]))
        assert inventory.stock() == (20, 20, 0)

    def test_each_notification_imports_its_own_version(
        self, suppliers: Suppliers, inventory: Inventory
    ) -> None:
        first = suppliers.drop(rows([("MUG", 1)]))
        second = suppliers.drop(rows([("PEN", 2)]))
        assert suppliers.deliver(second) == []
        assert inventory.available() == {"PEN": 2}
        assert suppliers.deliver(first) == []
        assert inventory.available() == {"PEN": 2, "MUG": 1}

    def test_the_same_content_under_two_names_is_two_deliveries(
        self, suppliers: Suppliers, inventory: Inventory
    ) -> None:
        for name in ("a", "b"):
            suppliers.send(rows([("MUG", 10)]), key=f"incoming/north/{name}.csv")
        assert inventory.stock() == (20, 20, 0)

    def test_the_progress_of_a_file_expires_like_inbox_entries(
        self, suppliers: Suppliers, inventory: Inventory
    ) -> None:
        suppliers.send(rows([("MUG", 10)]))
        remembered = timedelta(seconds=inventory.table.one("file")["expires_at"] - time.time())
        assert abs(remembered - timedelta(days=SETTINGS.inbox_days)) < timedelta(minutes=1)


@pytest.mark.usefixtures("parts_of_two")
class TestSeveralTransactions:
    """Seven valid rows in four transactions, with two invalid rows between them."""

    CONTENT = csv(
        *(f"{sku},2,1250,EUR" for sku in "ABC"),
        "wrong",
        *(f"{sku},2,1250,EUR" for sku in "DEF"),
        "wrong too",
        "G,2,1250,EUR",
    )
    STOCK = dict.fromkeys("ABCDEFG", 2)

    def assert_imported_once(self, suppliers: Suppliers, body: str) -> None:
        inventory = suppliers.inventory
        assert inventory.available() == self.STOCK
        assert inventory.balanced()
        assert len(inventory.table.envelopes(StockReplenished)) == len(self.STOCK)
        assert len(inventory.table.envelopes(ItemCosted)) == len(self.STOCK)
        answer = suppliers.report(body)
        assert (answer["rows_taken"], answer["rows_wrong"]) == (7, 2)
        assert [wrong["line"] for wrong in answer["wrong"]] == [5, 9]

    @pytest.mark.parametrize("number", [1, 2, 3, 4])
    @pytest.mark.parametrize("when", [Commits.before, Commits.after])
    def test_a_crash_is_resumed_and_the_report_is_complete(
        self,
        suppliers: Suppliers,
        commits: Commits,
        number: int,
        when: Callable[[Commits, int, Callable[[], None]], None],
    ) -> None:
        body = suppliers.drop(self.CONTENT)
        when(commits, number, crash)
        with pytest.raises(Crash):
            suppliers.deliver(body)
        assert suppliers.bucket.keys("reports/") == []
        assert suppliers.deliver(body) == []
        self.assert_imported_once(suppliers, body)

    def test_an_import_completes_although_each_run_crashes(
        self, suppliers: Suppliers, commits: Commits
    ) -> None:
        body = suppliers.drop(self.CONTENT)
        for _ in range(4):
            commits.after(1, crash)
            with pytest.raises(Crash):
                suppliers.deliver(body)
        assert suppliers.deliver(body) == []
        self.assert_imported_once(suppliers, body)

    @pytest.mark.parametrize("number", [1, 2, 3, 4])
    def test_two_concurrent_runs_import_each_row_once(
        self, suppliers: Suppliers, commits: Commits, number: int
    ) -> None:
        body = suppliers.drop(self.CONTENT)
        commits.before(number, partial(suppliers.deliver, body))
        assert suppliers.deliver(body) == ["m1"]
        self.assert_imported_once(suppliers, body)
        assert suppliers.deliver(body) == []
        self.assert_imported_once(suppliers, body)

    @pytest.mark.parametrize("count", [1, 2, 3])
    @pytest.mark.parametrize("number", [1, 2, 3, 4])
    def test_a_run_interrupted_by_part_of_another_run_imports_each_row_once(
        self, suppliers: Suppliers, commits: Commits, number: int, count: int
    ) -> None:
        body = suppliers.drop(self.CONTENT)
        commits.before(number, commits.part_of(partial(suppliers.deliver, body), count))
        assert suppliers.deliver(body) == ["m1"]
        assert suppliers.deliver(body) == []
        self.assert_imported_once(suppliers, body)

    def test_a_run_that_is_out_of_time_stops_and_the_next_one_continues(
        self, suppliers: Suppliers, inventory: Inventory
    ) -> None:
        body = suppliers.drop(self.CONTENT)
        assert suppliers.deliver(body, seconds=[900, 61, 59]) == ["m1"]
        assert inventory.available() == dict.fromkeys("ABCD", 2)
        assert suppliers.bucket.keys("reports/") == []
        assert suppliers.deliver(body) == []
        self.assert_imported_once(suppliers, body)

    def test_a_run_without_enough_time_imports_nothing(
        self, suppliers: Suppliers, inventory: Inventory
    ) -> None:
        body = suppliers.drop(self.CONTENT)
        assert suppliers.deliver(body, seconds=[59]) == ["m1"]
        assert inventory.table.items() == []

    @pytest.mark.parametrize("number", [1, 2, 3, 4])
    def test_a_cost_changed_in_the_meantime_gets_its_own_revision(
        self, suppliers: Suppliers, inventory: Inventory, commits: Commits, number: int
    ) -> None:
        """The other file has items of each part, some of which are already stored."""
        other = suppliers.drop(
            rows([("A", 1), ("C", 1), ("E", 1), ("G", 1)], cost=99), "incoming/north/b"
        )
        body = suppliers.drop(self.CONTENT)
        commits.before(number, partial(suppliers.deliver, other))
        assert suppliers.deliver(body) == []
        assert inventory.available() == {**self.STOCK, **dict.fromkeys("ACEG", 3)}
        revisions = [(event.sku, event.revision) for event in inventory.table.events(ItemCosted)]
        assert sorted(revisions) == sorted(
            [(sku, 1) for sku in "ABCDEFG"] + [(sku, 2) for sku in "ACEG"]
        )

    def test_if_costs_keep_changing_the_import_is_retried_later(
        self, suppliers: Suppliers, inventory: Inventory, commits: Commits
    ) -> None:
        body = suppliers.drop(self.CONTENT)
        for number in range(1, 6):
            other = partial(inventory.receive, f"other-{number}", cost=number, A=1)
            commits.before(number, other)
        assert suppliers.deliver(body) == ["m1"]
        assert inventory.available() == {"A": 5}
        assert suppliers.deliver(body) == []
        assert inventory.available() == {**self.STOCK, "A": 7}


class TestMessages:
    def test_the_test_event_is_acknowledged(
        self, suppliers: Suppliers, inventory: Inventory
    ) -> None:
        assert suppliers.deliver(TEST_EVENT) == []
        assert inventory.parking.messages() == []

    @pytest.mark.parametrize("name", ["new stock.csv", "a+b.csv", "Größe 100%.csv", "x\ny.csv"])
    def test_a_file_with_any_name_is_imported_and_gets_a_report(
        self, suppliers: Suppliers, inventory: Inventory, name: str
    ) -> None:
        answer = suppliers.send(rows([("MUG", 10)]), key=f"incoming/north/{name}")
        assert inventory.stock() == (10, 10, 0)
        assert answer["file"] == f"incoming/north/{name}"

    def test_the_notification_of_a_permanently_deleted_version_is_parked(
        self, suppliers: Suppliers, inventory: Inventory
    ) -> None:
        body = suppliers.drop(rows([("MUG", 10)]))
        version = json.loads(body)["Records"][0]["s3"]["object"]["versionId"]
        suppliers.bucket.delete(KEY, version)
        assert suppliers.deliver(body) == []
        assert f"deleted before it was read: supplier-files/{KEY}@{version}" in parked(inventory)
        assert inventory.table.items() == []

    def test_the_notification_of_a_file_that_does_not_exist_is_parked(
        self, suppliers: Suppliers, inventory: Inventory
    ) -> None:
        assert suppliers.deliver(notification(record("supplier-files", KEY, "v1"))) == []
        assert "deleted before it was read" in parked(inventory)

    def test_a_version_that_is_no_longer_current_is_imported(
        self, suppliers: Suppliers, inventory: Inventory
    ) -> None:
        """Deleting a file keeps its versions."""
        body = suppliers.drop(rows([("MUG", 10)]))
        suppliers.bucket.delete(KEY)
        assert suppliers.deliver(body) == []
        assert inventory.stock() == (10, 10, 0)

    def test_an_unreachable_bucket_is_retried(
        self, suppliers: Suppliers, inventory: Inventory
    ) -> None:
        body = suppliers.drop(rows([("MUG", 10)]))

        def unreachable(**_: Any) -> None:
            raise EndpointConnectionError(endpoint_url="https://s3")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(aws.s3(), "get_object", unreachable)
            assert suppliers.deliver(body) == ["m1"]
        assert inventory.parking.messages() == []

    @pytest.mark.parametrize(
        ("code", "message"),
        [
            ("AccessDenied", "User: x is not authorized to perform: kms:Decrypt on resource: y"),
            ("AccessDenied", "The ciphertext refers to a customer master key that does not exist"),
            ("KMS.DisabledException", "y is disabled."),
            ("KMS.KMSInvalidStateException", "y is pending deletion."),
            ("KMS.NotFoundException", "Key 'y' does not exist"),
        ],
    )
    def test_a_file_encrypted_with_an_inaccessible_key_gets_a_report(
        self, suppliers: Suppliers, inventory: Inventory, code: str, message: str
    ) -> None:
        body = suppliers.drop(rows([("MUG", 10)]))

        def refuse(**_: Any) -> None:
            raise ClientError({"Error": {"Code": code, "Message": message}}, "GetObject")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(aws.s3(), "get_object", refuse)
            assert suppliers.deliver(body) == []
        assert "encrypted with a key of KMS" in suppliers.report(body)["refused"]
        assert inventory.parking.messages() == []

    @pytest.mark.parametrize("code", ["KMS.ThrottlingException", "SlowDown"])
    def test_a_throttled_read_is_retried(
        self, suppliers: Suppliers, inventory: Inventory, code: str
    ) -> None:
        body = suppliers.drop(rows([("MUG", 10)]))

        def refuse(**_: Any) -> None:
            raise ClientError({"Error": {"Code": code, "Message": "slowly"}}, "GetObject")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(aws.s3(), "get_object", refuse)
            assert suppliers.deliver(body) == ["m1"]

    @pytest.mark.parametrize("code", ["AccessDenied", "NoSuchBucket"])
    def test_an_inaccessible_bucket_is_a_configuration_error(
        self, suppliers: Suppliers, inventory: Inventory, code: str
    ) -> None:
        body = suppliers.drop(rows([("MUG", 10)]))

        def refuse(**_: Any) -> None:
            raise ClientError({"Error": {"Code": code, "Message": "no"}}, "GetObject")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(aws.s3(), "get_object", refuse)
            assert suppliers.deliver(body) == []
        assert f"GetObject was refused with {code}" in parked(inventory)
        assert suppliers.deliver(body) == []
        assert inventory.available() == {"MUG": 10}

    def test_a_file_whose_download_breaks_off_is_not_imported_in_part(
        self, suppliers: Suppliers, inventory: Inventory
    ) -> None:
        """The whole file is downloaded before the first row is imported."""
        body = suppliers.drop(rows([("MUG", 10), ("PEN", 5)]))
        get = aws.s3().get_object

        def broken(**request: Any) -> Any:
            answer = get(**request)
            content = answer["Body"].read()

            class Body(io.BytesIO):
                def read(self, size: int | None = -1) -> bytes:
                    if self.tell():
                        raise ConnectionError("reset by peer")
                    return super().read(20)

            return {**answer, "Body": Body(content)}

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(aws.s3(), "get_object", broken)
            assert suppliers.deliver(body) == ["m1"]
        assert inventory.table.items() == []
        assert suppliers.deliver(body) == []
        assert inventory.available() == {"MUG": 10, "PEN": 5}
