"""One transaction writes effect, inbox and outbox together and once, or not at all."""

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from botocore.exceptions import ClientError

from lambdas.eventing import aws, transaction
from lambdas.eventing.transaction import (
    AlreadyProcessed,
    ConditionFailed,
    Contention,
    Transaction,
    read,
    read_all,
)
from tests.eventing.sample import CAUSE, SETTINGS, CoinCounted, coin, counting, delivery
from tests.support.cloud import Cloud, Commits, Crash, Table, crash

PURSE = ("PURSE#p", "PURSE")


def refusal(code: str, *reasons: str) -> ClientError:
    """An error in the format of DynamoDB.

    https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
    """
    response: Any = {"Error": {"Code": code, "Message": "refused"}}
    if reasons:
        response["CancellationReasons"] = [{"Code": reason} for reason in reasons]
    return ClientError(response, "TransactWriteItems")


def cancelled(*reasons: str) -> ClientError:
    return refusal("TransactionCanceledException", *reasons)


@pytest.fixture
def dynamodb_refuses(
    cloud: Cloud,
) -> Callable[[ClientError, int], list[dict[str, Any]]]:
    """Makes the next commits fail; the list collects the requests that pass."""

    def refuses(error: ClientError, times: int) -> list[dict[str, Any]]:
        commit = aws.dynamodb().transact_write_items
        refusals = [error] * times
        passed: list[dict[str, Any]] = []

        def transact(**request: Any) -> Any:
            if refusals:
                raise refusals.pop()
            passed.append(request)
            return commit(**request)

        cloud.monkeypatch.setattr(aws.dynamodb(), "transact_write_items", transact)
        return passed

    return refuses


class TestAtomicity:
    def test_effect_inbox_and_outbox_are_written_together(self, ledger: Table) -> None:
        delivered = delivery(coin(5))
        counting(delivered).commit()
        assert ledger.one("purse")["cents"] == 5
        assert ledger.one("inbox")["pk"] == f"INBOX#sample.count#{delivered.event_id}"
        (envelope,) = ledger.envelopes()
        assert envelope.type == "CoinCounted.v1"
        assert envelope.causationid == delivered.event_id
        assert len(ledger.items()) == 3

    def test_a_commit_is_one_request(self, ledger: Table, commits: Commits) -> None:
        counting(delivery()).commit()
        assert commits.count == 1

    def test_a_failed_condition_writes_nothing(self, ledger: Table) -> None:
        attempt = counting(delivery())
        attempt.put(("x", "x"), {"kind": "other"}, condition="attribute_exists(pk)", label="other")
        with pytest.raises(ConditionFailed, match="conditions failed: other"):
            attempt.commit()
        assert ledger.items() == []

    def test_outbox_items_share_the_partition_of_their_aggregate(self, ledger: Table) -> None:
        """A stream keeps the order only within a partition key.

        https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Streams.html
        """
        counting(delivery()).commit()
        assert ledger.one("outbox")["pk"] == ledger.one("purse")["pk"] == "PURSE#p"


class TestOnce:
    def test_a_second_delivery_changes_nothing(self, ledger: Table) -> None:
        delivered = delivery(coin(5))
        counting(delivered).commit()
        before = ledger.items()
        with pytest.raises(AlreadyProcessed):
            counting(delivered).commit()
        assert ledger.items() == before

    def test_another_event_with_the_same_content_counts_again(self, ledger: Table) -> None:
        counting(delivery(coin(5))).commit()
        counting(delivery(coin(5))).commit()
        assert ledger.one("purse")["cents"] == 10

    def test_each_consumer_of_an_event_has_its_own_inbox(self, ledger: Table) -> None:
        first = delivery(coin(5), to="sample.count")
        second = first.envelope.deliver_to("sample.audit", (type(first.event),))
        counting(first).commit()
        counting(second).commit()
        assert ledger.one("purse")["cents"] == 10

    def test_after_a_crash_before_the_commit_the_next_delivery_does_everything(
        self, ledger: Table, commits: Commits
    ) -> None:
        delivered = delivery(coin(5))
        commits.before(1, crash)
        with pytest.raises(Crash):
            counting(delivered).commit()
        assert ledger.items() == []
        counting(delivered).commit()
        assert ledger.one("purse")["cents"] == 5

    def test_after_a_crash_after_the_commit_the_next_delivery_does_nothing(
        self, ledger: Table, commits: Commits
    ) -> None:
        delivered = delivery(coin(5))
        commits.after(1, crash)
        with pytest.raises(Crash):
            counting(delivered).commit()
        with pytest.raises(AlreadyProcessed):
            counting(delivered).commit()
        assert ledger.one("purse")["cents"] == 5
        assert ledger.published() == ["CoinCounted.v1"]

    def test_two_concurrent_deliveries_count_once(self, ledger: Table, commits: Commits) -> None:
        delivered = delivery(coin(5))
        commits.before(1, lambda: counting(delivered).commit())
        with pytest.raises(AlreadyProcessed):
            counting(delivered).commit()
        assert ledger.one("purse")["cents"] == 5

    def test_a_duplicate_whose_condition_fails_too_is_reported_as_a_duplicate(
        self, ledger: Table
    ) -> None:
        delivered = delivery()

        def create_once() -> None:
            attempt = Transaction.reacting_to(delivered, SETTINGS)
            attempt.create(PURSE, {"kind": "purse"}, label="purse")
            attempt.commit()

        create_once()
        with pytest.raises(AlreadyProcessed):
            create_once()

    def test_once_works_for_causes_other_than_events(self, ledger: Table) -> None:
        def receive() -> None:
            attempt = Transaction(SETTINGS, CAUSE)
            attempt.once("sample.receive", "parcel-1")
            attempt.update(PURSE, "ADD cents :one", values={":one": 1})
            attempt.commit()

        receive()
        with pytest.raises(AlreadyProcessed):
            receive()
        assert read(SETTINGS, PURSE) == {"pk": "PURSE#p", "sk": "PURSE", "cents": 1}


class TestExpiry:
    NOW = datetime(2026, 1, 5, 8, tzinfo=UTC)

    def days(self, table: Table, kind: str) -> float:
        expires_at = datetime.fromtimestamp(table.one(kind)["expires_at"], UTC)
        return (expires_at - self.NOW) / timedelta(days=1)

    def test_inbox_entries_expire_after_the_configured_days(self, ledger: Table) -> None:
        with time_machine.travel(self.NOW, tick=False):
            counting(delivery()).commit()
        assert self.days(ledger, "inbox") == SETTINGS.inbox_days

    def test_outbox_entries_expire_after_16_days(self, ledger: Table) -> None:
        with time_machine.travel(self.NOW, tick=False):
            counting(delivery()).commit()
        assert self.days(ledger, "outbox") == transaction.OUTBOX_DAYS == 16

    def test_the_effect_does_not_expire(self, ledger: Table) -> None:
        counting(delivery()).commit()
        assert "expires_at" not in ledger.one("purse")


class TestContention:
    @pytest.mark.parametrize(
        "error",
        [
            cancelled("None", "TransactionConflict", "None"),
            cancelled("None", "ThrottlingError", "None"),
            cancelled("None", "ProvisionedThroughputExceeded", "None"),
            refusal("TransactionInProgressException"),
        ],
        ids=lambda error: error.response.get("CancellationReasons", [{}, {"Code": "progress"}])[1][
            "Code"
        ],
    )
    def test_a_transient_error_is_retried(
        self, ledger: Table, dynamodb_refuses: Any, error: ClientError
    ) -> None:
        passed = dynamodb_refuses(error, 3)
        counting(delivery(coin(5))).commit()
        assert len(passed) == 1
        assert ledger.one("purse")["cents"] == 5

    def test_persistent_contention_is_raised_after_eight_attempts(
        self, ledger: Table, cloud: Cloud, dynamodb_refuses: Any
    ) -> None:
        passed = dynamodb_refuses(cancelled("None", "TransactionConflict", "None"), 100)
        with pytest.raises(Contention, match="3 items stayed contended for 8 attempts"):
            counting(delivery()).commit()
        assert passed == []
        assert len(cloud.pauses) == 8
        assert ledger.items() == []

    def test_pauses_are_random_below_a_ceiling_that_doubles(
        self, cloud: Cloud, ledger: Table, dynamodb_refuses: Any
    ) -> None:
        """https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter/."""
        ceilings: list[float] = []

        def uniform(low: float, high: float) -> float:
            assert low == 0
            ceilings.append(high)
            return high / 2

        cloud.monkeypatch.setattr(random, "uniform", uniform)
        dynamodb_refuses(cancelled("TransactionConflict", "None", "None"), 7)
        counting(delivery()).commit()
        assert ceilings == [0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.0]
        assert cloud.pauses == [ceiling / 2 for ceiling in ceilings]

    def test_a_successful_commit_does_not_pause(self, ledger: Table, cloud: Cloud) -> None:
        counting(delivery()).commit()
        assert cloud.pauses == []

    def test_a_failed_condition_beside_a_conflict_is_final(
        self, ledger: Table, cloud: Cloud, dynamodb_refuses: Any
    ) -> None:
        dynamodb_refuses(cancelled("None", "ConditionalCheckFailed", "TransactionConflict"), 1)
        with pytest.raises(ConditionFailed):
            counting(delivery()).commit()
        assert cloud.pauses == []

    @pytest.mark.parametrize(
        "error",
        [
            cancelled("None", "ValidationError", "None"),
            cancelled("None", "ItemCollectionSizeLimitExceeded", "None"),
            refusal("AccessDeniedException"),
            refusal("ResourceNotFoundException"),
            refusal("IdempotentParameterMismatchException"),
        ],
        ids=lambda error: str(error)[-60:],
    )
    def test_any_other_error_is_raised_at_once(
        self, ledger: Table, cloud: Cloud, dynamodb_refuses: Any, error: ClientError
    ) -> None:
        dynamodb_refuses(error, 1)
        with pytest.raises(ClientError) as raised:
            counting(delivery()).commit()
        assert raised.value is error
        assert cloud.pauses == []


class TestConditions:
    def test_the_error_has_the_labels_of_exactly_the_failed_conditions(self, ledger: Table) -> None:
        attempt = Transaction(SETTINGS, CAUSE)
        for label, condition in {"a": "attribute_exists(pk)", "b": None, "c": "cents > :c"}.items():
            attempt.put(
                (label, label),
                {"kind": "x"},
                condition=condition,
                values={":c": 1} if label == "c" else None,
                label=label,
            )
        with pytest.raises(ConditionFailed) as raised:
            attempt.commit()
        assert raised.value.labels == {"a", "c"}

    def test_create_fails_if_the_item_exists(self, ledger: Table) -> None:
        def create() -> None:
            attempt = Transaction(SETTINGS, CAUSE)
            attempt.create(PURSE, {"kind": "purse"}, label="purse")
            attempt.commit()

        create()
        with pytest.raises(ConditionFailed) as raised:
            create()
        assert raised.value.labels == {"purse"}

    def test_reserved_words_can_be_used_through_names(self, ledger: Table) -> None:
        ledger.put({"pk": "PURSE#p", "sk": "PURSE", "status": "open"})
        attempt = Transaction(SETTINGS, CAUSE)
        attempt.update(
            PURSE,
            "SET #status = :closed",
            condition="#status = :open",
            names={"#status": "status"},
            values={":closed": "closed", ":open": "open"},
        )
        attempt.commit()
        assert read(SETTINGS, PURSE) == {"pk": "PURSE#p", "sk": "PURSE", "status": "closed"}


class TestOneOperation:
    """A single operation is a plain write, which costs half.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html
    """

    @staticmethod
    def attempt(kind: str) -> Transaction:
        attempt = Transaction(SETTINGS, CAUSE)
        match kind:
            case "put":
                attempt.put(PURSE, {"kind": "purse", "cents": 7})
            case "update":
                attempt.update(PURSE, "SET cents = :cents", values={":cents": 7})
            case "delete":
                attempt.delete(PURSE)
        return attempt

    @pytest.fixture
    def calls(self, cloud: Cloud) -> list[str]:
        """The operations of all calls from now on."""
        made: list[str] = []
        call: Any = type(aws.dynamodb())._make_api_call  # type: ignore[attr-defined]

        def make_api_call(client: Any, operation: str, given: Any) -> Any:
            made.append(operation)
            return call(client, operation, given)

        cloud.monkeypatch.setattr(type(aws.dynamodb()), "_make_api_call", make_api_call)
        return made

    @pytest.mark.parametrize(
        ("kind", "operation", "cents"),
        [("put", "PutItem", [7]), ("update", "UpdateItem", [7]), ("delete", "DeleteItem", [])],
    )
    def test_it_is_written_without_a_transaction(
        self, ledger: Table, calls: list[str], kind: str, operation: str, cents: list[int]
    ) -> None:
        ledger.put({"pk": PURSE[0], "sk": PURSE[1], "cents": 1})
        calls.clear()
        self.attempt(kind).commit()
        assert calls == [operation]
        assert [item["cents"] for item in ledger.items()] == cents

    def test_two_are_a_transaction(self, ledger: Table, calls: list[str]) -> None:
        attempt = self.attempt("put")
        attempt.delete(("PURSE#q", "PURSE"))
        attempt.commit()
        assert calls == ["TransactWriteItems"]

    def test_a_failed_condition_comes_with_its_label_and_the_item_that_was_found(
        self, ledger: Table
    ) -> None:
        stored = {"pk": PURSE[0], "sk": PURSE[1], "cents": 1}
        ledger.put(stored)
        attempt = Transaction(SETTINGS, CAUSE)
        attempt.create(PURSE, {"cents": 7}, label="purse")
        with pytest.raises(ConditionFailed, match="conditions failed: purse") as raised:
            attempt.commit()
        assert raised.value.found == stored
        assert ledger.items() == [stored]

    def test_nothing_is_found_where_no_item_is(self, ledger: Table) -> None:
        attempt = Transaction(SETTINGS, CAUSE)
        attempt.put(PURSE, {"cents": 7}, condition="attribute_exists(pk)", label="purse")
        with pytest.raises(ConditionFailed) as raised:
            attempt.commit()
        assert raised.value.found is None

    def test_an_inbox_key_alone_shows_a_duplicate(self, ledger: Table) -> None:
        delivered = delivery()
        Transaction.reacting_to(delivered, SETTINGS).commit()
        with pytest.raises(AlreadyProcessed):
            Transaction.reacting_to(delivered, SETTINGS).commit()
        assert len(ledger.items("inbox")) == 1

    @pytest.mark.parametrize(
        "code",
        [
            "TransactionConflictException",
            "ThrottlingException",
            "ProvisionedThroughputExceededException",
        ],
    )
    def test_a_transient_error_is_retried(self, ledger: Table, cloud: Cloud, code: str) -> None:
        """https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_PutItem.html."""
        put = aws.dynamodb().put_item
        refusals = [refusal(code)] * 3

        def put_item(**request: Any) -> Any:
            if refusals:
                raise refusals.pop()
            return put(**request)

        cloud.monkeypatch.setattr(aws.dynamodb(), "put_item", put_item)
        self.attempt("put").commit()
        assert ledger.one("purse")["cents"] == 7
        assert len(cloud.pauses) == 3

    def test_another_error_is_raised_at_once(self, ledger: Table, cloud: Cloud) -> None:
        def put_item(**_: Any) -> Any:
            raise refusal("ValidationException")

        cloud.monkeypatch.setattr(aws.dynamodb(), "put_item", put_item)
        with pytest.raises(ClientError, match="ValidationException"):
            self.attempt("put").commit()
        assert cloud.pauses == []


def test_an_event_that_is_too_large_is_rejected_before_anything_is_written(ledger: Table) -> None:
    attempt = counting(delivery())
    with pytest.raises(ValueError, match="store the bulk in S3"):
        attempt.publish(PURSE, CoinCounted(purse="p", note="x" * 300_000))
    assert ledger.items() == []


def test_a_read_returns_the_stored_item_or_none(ledger: Table) -> None:
    assert read(SETTINGS, PURSE) is None
    item = {"pk": "PURSE#p", "sk": "PURSE", "n": 1, "list": [{"a": -5}], "none": None, "t": "ü"}
    ledger.put(item)
    assert read(SETTINGS, PURSE) == item


def test_reads_are_strongly_consistent(ledger: Table, cloud: Cloud) -> None:
    requests: list[dict[str, Any]] = []

    def get_item(**request: Any) -> dict[str, Any]:
        requests.append(request)
        return {}

    cloud.monkeypatch.setattr(aws.dynamodb(), "get_item", get_item)
    assert read(SETTINGS, PURSE) is None
    assert requests[0]["ConsistentRead"] is True


class TestReadAll:
    KEYS = tuple((f"PURSE#{number}", "PURSE") for number in range(100))

    @pytest.fixture
    def purses(self, ledger: Table) -> None:
        for number in range(0, 100, 2):
            ledger.put({"pk": f"PURSE#{number}", "sk": "PURSE", "cents": number})

    @pytest.fixture
    def requests(self, purses: None, cloud: Cloud) -> list[Any]:
        """The requests to a table that returns at most three items at a time."""
        seen: list[Any] = []
        batch_get_item: Any = aws.dynamodb().batch_get_item

        def busy(RequestItems: Any) -> Any:  # noqa: N803 - the name on the wire
            (request,) = RequestItems.values()
            seen.append(request)
            first, rest = request["Keys"][:3], request["Keys"][3:]
            answer = batch_get_item(RequestItems={SETTINGS.table_name: {**request, "Keys": first}})
            left = {SETTINGS.table_name: {**request, "Keys": rest}} if rest else {}
            return {**answer, "UnprocessedKeys": left}

        cloud.monkeypatch.setattr(aws.dynamodb(), "batch_get_item", busy)
        return seen

    @pytest.mark.usefixtures("purses")
    def test_read_all_returns_the_existing_items_by_key(self) -> None:
        found = read_all(SETTINGS, self.KEYS)
        assert {key: item["cents"] for key, item in found.items()} == {
            (f"PURSE#{number}", "PURSE"): number for number in range(0, 100, 2)
        }

    def test_unprocessed_keys_are_requested_again_after_a_pause(
        self, requests: list[Any], cloud: Cloud
    ) -> None:
        assert len(read_all(SETTINGS, self.KEYS[:10])) == 5
        assert [len(request["Keys"]) for request in requests] == [10, 7, 4, 1]
        assert len(cloud.pauses) == 3

    @pytest.mark.usefixtures("requests")
    def test_a_table_that_stays_throttled_is_an_error_after_eight_attempts(self) -> None:
        with pytest.raises(Contention, match="could not be read in 8 attempts"):
            read_all(SETTINGS, self.KEYS)

    def test_all_reads_are_strongly_consistent(self, requests: list[Any]) -> None:
        read_all(SETTINGS, self.KEYS[:4])
        assert [request["ConsistentRead"] for request in requests] == [True, True]
