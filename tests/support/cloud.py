"""AWS for tests of handlers: moto in this process, tables and queues as the stacks define them."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from contextvars import Context
from dataclasses import dataclass, field
from functools import cache
from types import ModuleType
from typing import Any

import msgspec
import pytest
from botocore.client import BaseClient
from moto.core.base_backend import BackendDict
from moto.core.models import DEFAULT_ACCOUNT_ID as ACCOUNT_ID
from moto.core.models import botocore_stubber
from moto.dynamodb.models import dynamodb_backends

import lambdas
from cdk_rehearsal import aws_variables, corrected_moto
from lambdas.eventing import aws, pending, transaction, vault
from lambdas.eventing.attributes import Item, from_attributes, to_attributes
from lambdas.eventing.event import CloudEvent, E, Event
from lambdas.eventing.listing import Listing
from lambdas.eventing.personal import Claim, Deposit, Personal
from lambdas.eventing.transaction import expiry
from lambdas.eventing.vault import VaultSettings
from tests.support import declarations

REGION = "eu-central-1"
VAULT = VaultSettings(vault_table_name="vault")


class Crash(BaseException):
    """The death of an execution environment, which no handler can catch."""


@dataclass
class Cloud:
    """An empty account, in which sleeping is only recorded."""

    monkeypatch: pytest.MonkeyPatch
    pauses: list[float] = field(default_factory=list)
    """Seconds that the code under test wanted to sleep."""

    def configure(self, environment: Mapping[str, str]) -> None:
        """Starts a new execution environment with these variables."""
        for name, value in environment.items():
            self.monkeypatch.setenv(name, value)
        forget()

    @contextmanager
    def losing_answers(self, operation: str) -> Iterator[None]:
        """Loses the first answer to each call: the client repeats what has happened already.

        https://docs.aws.amazon.com/boto3/latest/guide/retries.html
        """
        call: Any = BaseClient._make_api_call  # type: ignore[attr-defined]

        def make_api_call(client: Any, called: str, given: Any) -> Any:
            if called == operation:
                call(client, called, given)
            return call(client, called, given)

        with self.monkeypatch.context() as patch:
            patch.setattr(BaseClient, "_make_api_call", make_api_call)
            yield

    def table(
        self,
        name: str,
        *,
        sort_key: bool = True,
        pending_index: bool = False,
        listing: Listing | None = None,
    ) -> "Table":
        """Creates a table with the keys that the stacks define."""
        keys = ["pk", "sk"] if sort_key else ["pk"]
        indexes = {pending.INDEX: [pending.SHARD, pending.SINCE]} if pending_index else {}
        if listing:
            indexes[listing.index] = [listing.group, listing.moment]
        request: dict[str, Any] = {
            "TableName": name,
            "KeySchema": _schema(keys),
            "AttributeDefinitions": [
                {"AttributeName": key, "AttributeType": "S"} for key in sum(indexes.values(), keys)
            ],
            "BillingMode": "PAY_PER_REQUEST",
        }
        if indexes:
            request["GlobalSecondaryIndexes"] = [
                {
                    "IndexName": index,
                    "KeySchema": _schema(names),
                    "Projection": {"ProjectionType": "KEYS_ONLY"},
                }
                for index, names in indexes.items()
            ]
        aws.dynamodb().create_table(**request)
        return Table(name)

    def vault(self) -> "Vault":
        """Creates the vault, and starts a new execution environment that knows it."""
        self.table(VAULT.vault_table_name)
        self.configure(VAULT.as_environment())
        return Vault(VAULT.vault_table_name)

    def queue(self, name: str) -> "Queue":
        """Creates a queue."""
        return Queue(aws.sqs().create_queue(QueueName=name)["QueueUrl"])


@dataclass(frozen=True)
class Table:
    """Direct access to a table, without the code under test."""

    name: str

    def items(self, kind: str | None = None) -> list[Item]:
        """All items, or those of one kind."""
        stored = dynamodb_backends[ACCOUNT_ID][REGION].get_table(self.name).all_items()
        items = [from_attributes(item.to_json()["Attributes"]) for item in stored]
        return [item for item in items if kind in (None, item.get("kind"))]

    def one(self, kind: str) -> Item:
        """The only item of its kind."""
        items = self.items(kind)
        assert len(items) == 1, f"{len(items)} items of kind {kind} in {self.name}"
        return items[0]

    def put(self, item: Mapping[str, Any]) -> None:
        """Writes an item."""
        aws.dynamodb().put_item(TableName=self.name, Item=to_attributes(item))

    def as_stored_earlier(self, kind: str, *fields: str) -> None:
        """Rewrites the only item of its kind as releases stored it that did not have `fields`."""
        stored = self.one(kind)
        self.put({name: value for name, value in stored.items() if name not in fields})

    def envelopes(self, *event_types: type[Event]) -> list[CloudEvent]:
        """The events in the outbox, of these types if any are given."""
        envelopes = [
            msgspec.json.decode(item["detail"], type=CloudEvent) for item in self.items("outbox")
        ]
        wanted = {event_type.detail_type() for event_type in event_types}
        return [envelope for envelope in envelopes if not wanted or envelope.type in wanted]

    def events(self, event_type: type[E]) -> list[E]:
        """The events of one type in the outbox."""
        return [
            msgspec.json.decode(envelope.data, type=event_type)
            for envelope in self.envelopes(event_type)
        ]

    def published(self) -> list[str]:
        """The detail-types in the outbox, sorted."""
        return sorted(envelope.type for envelope in self.envelopes())


@dataclass(frozen=True)
class Vault(Table):
    """Direct access to the vault, without the code under test."""

    def deposit(self, claim: Claim, *data: Personal, days: int = 30) -> None:
        """Deposits personal data, as a transaction of their owner does."""
        for each in data:
            operation = vault.operation(claim, Deposit(each, days), expiry(days))
            aws.dynamodb().put_item(**operation["Put"])

    def clear(self) -> None:
        """Deletes all data."""
        for item in self.items():
            key = to_attributes({"pk": item["pk"], "sk": item["sk"]})
            aws.dynamodb().delete_item(TableName=self.name, Key=key)

    def kept(self) -> dict[str, Item]:
        """The data by kind, if there is one person and one purpose."""
        return {item["pk"].partition("#")[0]: item["data"] for item in self.items()}

    def days(self, kind: type[Personal]) -> int:
        """How long the only data of a kind are still kept."""
        (item,) = [item for item in self.items() if item["pk"].startswith(f"{kind.__name__}#")]
        seconds: float = item["expires_at"] - time.time()
        return round(seconds / 86_400)


@dataclass(frozen=True)
class Queue:
    """Direct access to a queue, without the code under test."""

    url: str

    def messages(self) -> list[Any]:
        """Up to ten visible messages."""
        answer = aws.sqs().receive_message(
            QueueUrl=self.url, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
        )
        return list(answer.get("Messages", []))


class Commits:
    """Hooks that run right before or right after the next commits, which count from one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sizes: list[int] = []
        """Operations of each commit so far."""
        self._busy = False
        self._left = 0
        self._before: dict[int, Callable[[], object]] = {}
        self._after: dict[int, Callable[[], object]] = {}
        self._commit = transaction._write
        monkeypatch.setattr(transaction, "_write", self._observed)

    @property
    def count(self) -> int:
        """The number of commits so far."""
        return len(self.sizes)

    def before(self, number: int, action: Callable[[], object]) -> None:
        """Runs an action before the commit of this number, counted from now."""
        self._before[self.count + number] = action

    def after(self, number: int, action: Callable[[], object]) -> None:
        """Runs an action after the commit of this number, counted from now."""
        self._after[self.count + number] = action

    def part_of(self, step: Callable[[], object], count: int) -> Callable[[], None]:
        """An action: another run of a step, which dies after this many commits."""

        def run() -> None:
            self._left = count
            try:
                step()
            except Crash:
                pass
            finally:
                self._left = 0

        return run

    def forget(self) -> None:
        """Removes the actions that have not run yet."""
        self._before.clear()
        self._after.clear()

    def _observed(self, operations: Sequence[Any]) -> None:
        if self._busy:
            self._commit(operations)
            self._left -= 1
            if self._left == 0:
                raise Crash
            return
        self.sizes.append(len(operations))
        self._run(self._before.pop(self.count, None))
        self._commit(operations)
        self._run(self._after.pop(self.count, None))

    def _run(self, action: Callable[[], object] | None) -> None:
        """Runs an action outside the running handler; its own commits are not counted."""
        if action:
            self._busy = True
            try:
                # Like another execution environment: no declaration of a handler applies.
                Context().run(action)
            finally:
                self._busy = False


def _schema(keys: list[str]) -> list[dict[str, str]]:
    kinds = ("HASH", "RANGE")
    return [{"AttributeName": key, "KeyType": kind} for key, kind in zip(keys, kinds, strict=False)]


def crash() -> None:
    """Ends the execution environment at this point."""
    raise Crash


def forget() -> None:
    """Clears all caches that handlers keep for the life of their environment, except clients."""
    for module in _modules_of(lambdas):
        for cached in _caches_of(module):
            cached.cache_clear()


def _modules_of(package: ModuleType) -> Iterator[ModuleType]:
    """The imported modules below a package."""
    for name, value in vars(package).items():
        if isinstance(value, ModuleType) and value.__name__ == f"{package.__name__}.{name}":
            yield value
            if hasattr(value, "__path__"):
                yield from _modules_of(value)


@cache
def _caches_of(module: ModuleType) -> list[Any]:
    return [
        value
        for value in vars(module).values()
        if hasattr(value, "cache_clear") and value is not aws.client
    ]


@contextmanager
def region() -> Iterator[None]:
    """moto as the rehearsal uses it.

    Starting it takes longer than most tests do, so that accounts share it.
    """
    with corrected_moto():
        # Existing clients were created without the patches.
        aws.client.cache_clear()
        yield


@contextmanager
def cloud() -> Iterator[Cloud]:
    """An empty account in a started region, for the duration of the block. Nothing sleeps.

    Handlers may do only what they declare.
    """
    assert botocore_stubber.enabled, "no region is started: use the fixture `region`"
    with ExitStack() as stack:
        stack.enter_context(aws_variables(REGION))
        stack.enter_context(declarations.enforced())
        monkeypatch = stack.enter_context(pytest.MonkeyPatch.context())
        monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "test")
        monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "Orderflow/test")
        account = Cloud(monkeypatch)
        monkeypatch.setattr(time, "sleep", account.pauses.append)
        forget()
        try:
            yield account
        finally:
            forget()
            BackendDict.reset()
