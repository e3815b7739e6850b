"""Declarations: a handler publishes and uses what it declares, and nothing else."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import pytest
from botocore.client import BaseClient
from msgspec import Struct

from lambdas.eventing import aws, declaration, pending
from lambdas.eventing.attributes import to_attributes
from lambdas.eventing.callback import callback
from lambdas.eventing.consumer import consumer
from lambdas.eventing.declaration import (
    BATCH_GET,
    CONDITION_CHECK,
    DELETE,
    GET,
    PUT,
    QUERY,
    UPDATE,
    Handler,
    Undeclared,
    Use,
    formerly,
)
from lambdas.eventing.event import Event
from lambdas.eventing.http import endpoint
from lambdas.eventing.stored_object import object_consumer
from lambdas.eventing.stream import window_consumer
from lambdas.eventing.task import task, waiting_task
from lambdas.eventing.transaction import Transaction, read, read_all
from lambdas.orders.events import Address, OrderExpired
from tests.eventing.sample import CAUSE, SETTINGS, CoinAdded, CoinCounted, CoinCountedLater, coin
from tests.support.cloud import Cloud, Commits, Queue, Table
from tests.support.messages import CONTEXT, Call, batch, enveloped, failed, task_input
from tests.support.objects import notification, record
from tests.support.telemetry import metrics


class Sum(Struct):
    """The summary of a window."""


KEY = ("PURSE#p", "PURSE")
Effect = Callable[[], Any]


@pytest.fixture(autouse=True)
def sample(ledger: Table, parking: Queue, cloud: Cloud) -> None:
    """The function's table is the sample's."""
    environment = {**SETTINGS.as_environment(), "DEAD_LETTER_QUEUE_URL": parking.url}
    cloud.configure(environment)


def doing(effect: Effect, **declared: Any) -> Callable[[], None]:
    """Runs a task with this effect and declaration."""

    @task(CoinAdded, **declared)
    def handler(*_: object) -> None:
        effect()

    return lambda: handler(task_input(enveloped(coin())), CONTEXT)


def writing(change: Callable[[Transaction], object]) -> Effect:
    def write() -> None:
        transaction = Transaction(SETTINGS, CAUSE)
        change(transaction)
        transaction.commit()

    return write


def publishing(*also_as: Event) -> Effect:
    event = CoinCounted(purse="p")
    return writing(lambda transaction: transaction.publish(KEY, event, also_as=also_as))


USES: dict[str, tuple[Effect, tuple[Use, ...]]] = {
    "read": (lambda: read(SETTINGS, KEY), (GET,)),
    "read_all": (lambda: read_all(SETTINGS, [KEY]), (BATCH_GET,)),
    "put": (writing(lambda to: to.put(KEY, {"kind": "purse"})), (PUT,)),
    "create": (writing(lambda to: to.create(KEY, {"kind": "purse"})), (PUT,)),
    "once": (writing(lambda to: to.once("sample.count", "1")), (PUT,)),
    "update": (writing(lambda to: to.update(KEY, "ADD n :n", values={":n": 1})), (UPDATE,)),
    "pending.oldest": (lambda: pending.oldest(SETTINGS, limit=1), pending.FIND),
}
"""What the kernel does with a table, and which uses it takes."""


@pytest.fixture(params=USES)
def used(request: pytest.FixtureRequest, ledger: Table) -> tuple[Effect, tuple[Use, ...]]:
    if request.param == "pending.oldest":
        aws.dynamodb().delete_table(TableName=SETTINGS.table_name)
        request.getfixturevalue("cloud").table(SETTINGS.table_name, pending_index=True)
        moment = {pending.SHARD: "PENDING#0", pending.SINCE: "2026-01-05"}
        ledger.put({"pk": KEY[0], "sk": KEY[1], **moment})
    return USES[request.param]


class TestWhatIsUndeclared:
    def test_a_use_of_the_table_is_named_before_the_table_is_called(
        self, used: tuple[Effect, tuple[Use, ...]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        effect, uses = used
        doing(effect, uses=uses)()
        calls: list[str] = []
        make_api_call: Callable[..., Any] = BaseClient._make_api_call  # type: ignore[attr-defined]

        def api_called(client: Any, operation: str, parameters: Any) -> Any:
            calls.append(operation)
            return make_api_call(client, operation, parameters)

        monkeypatch.setattr(BaseClient, "_make_api_call", api_called)
        for lacking in uses:
            calls.clear()
            with pytest.raises(Undeclared) as raised:
                doing(effect, uses={*declaration._NAMES, *uses} - {lacking})()
            assert str(raised.value).startswith(
                f"tests.eventing.test_declaration calls {lacking.operation} on "
            )
            assert not {lacking.operation, "TransactWriteItems"}.intersection(calls)

    @pytest.mark.parametrize(
        ("effect", "message"),
        [
            (
                USES["read"][0],
                "calls GetItem on its table, which it does not declare: add @task(…, uses=(GET,))",
            ),
            (
                USES["pending.oldest"][0],
                "calls Query on index Pending of its table, which it does not declare: "
                "add @task(…, uses=(Use(operation='Query', index='Pending'),))",
            ),
            (
                publishing(),
                "publishes CoinCounted, which it does not declare: "
                "add @task(…, publishes=(CoinCounted,))",
            ),
        ],
    )
    def test_the_message_says_who_did_what_and_what_to_add(
        self, effect: Effect, message: str
    ) -> None:
        with pytest.raises(Undeclared) as raised:
            doing(effect)()
        assert str(raised.value) == f"tests.eventing.test_declaration {message}"

    def test_nothing_of_the_transaction_is_written(self, ledger: Table) -> None:
        def count_and_tell(transaction: Transaction) -> None:
            transaction.update(KEY, "ADD n :n", values={":n": 1})
            transaction.publish(KEY, CoinCounted(purse="p"))

        with pytest.raises(Undeclared):
            doing(writing(count_and_tell), uses=(UPDATE, PUT))()
        assert ledger.items() == []

    def test_each_version_of_an_event_is_declared_for_itself(self) -> None:
        older = CoinCountedLater(purse="p")
        with pytest.raises(Undeclared, match="publishes CoinCountedLater, which"):
            doing(publishing(older), publishes=(CoinCounted,))()

    @pytest.mark.parametrize(
        ("call", "use"),
        [
            (lambda: aws.dynamodb().scan(TableName="ledger"), "Scan"),
            (lambda: aws.dynamodb().query(**_query()), "Query"),
            (lambda: aws.dynamodb().delete_item(TableName="ledger", Key=_key()), "DeleteItem"),
            (lambda: aws.dynamodb().transact_write_items(**_check()), "ConditionCheckItem"),
        ],
    )
    def test_a_call_past_the_kernel_fails_in_the_handlers_test(
        self, call: Effect, use: str
    ) -> None:
        with pytest.raises(Undeclared, match=f"calls {use} on its table"):
            doing(call, uses=(GET, PUT, UPDATE))()

    def test_another_table_than_the_contexts_is_not_its_affair(self, cloud: Cloud) -> None:
        cloud.table("partner", sort_key=False)
        call: dict[str, Any] = {"TableName": "partner", "Key": to_attributes({"pk": "p"})}
        doing(lambda: aws.dynamodb().get_item(**call))()


def _key() -> dict[str, Any]:
    return to_attributes({"pk": KEY[0], "sk": KEY[1]})


def _query() -> dict[str, Any]:
    values = to_attributes({":pk": KEY[0]})
    return {
        "TableName": "ledger",
        "KeyConditionExpression": "pk = :pk",
        "ExpressionAttributeValues": values,
    }


def _check() -> dict[str, Any]:
    check = {
        "TableName": "ledger",
        "Key": _key(),
        "ConditionExpression": "attribute_not_exists(pk)",
    }
    return {"TransactItems": [{"ConditionCheck": check}]}


def test_all_operations_can_be_declared() -> None:
    calls = (lambda: aws.dynamodb().query(**_query()), lambda: read(SETTINGS, KEY))
    uses = (BATCH_GET, CONDITION_CHECK, DELETE, GET, PUT, QUERY, UPDATE)
    for call in calls:
        doing(call, uses=uses)()


def test_who_publishes_may_write_to_the_outbox_and_no_more(ledger: Table) -> None:
    doing(publishing(), publishes=(CoinCounted,))()
    assert ledger.published() == ["CoinCounted.v1"]
    with pytest.raises(Undeclared, match="UpdateItem"):
        doing(USES["update"][0], publishes=(CoinCounted,))()


def test_code_that_no_handler_runs_is_not_checked(ledger: Table) -> None:
    publishing()()
    with pytest.raises(Undeclared):
        doing(publishing())()
    publishing()()
    assert len(ledger.published()) == 2


def test_a_handler_within_another_has_a_declaration_of_its_own() -> None:
    inner = doing(publishing(), publishes=(CoinCounted,))

    def both() -> None:
        inner()
        read(SETTINGS, KEY)

    doing(both, uses=(GET,))()
    with pytest.raises(Undeclared, match="GetItem"):
        doing(both)()


def test_what_happens_in_between_belongs_to_another_environment(commits: Commits) -> None:
    commits.before(1, publishing())
    doing(USES["put"][0], uses=(PUT,))()


def test_a_consumer_parks_the_message_at_once_and_its_test_fails(
    parking: Queue, capsys: pytest.CaptureFixture[str]
) -> None:
    @consumer(CoinAdded)
    def handler(_: object) -> None:
        publishing()()

    with pytest.raises(Undeclared, match="publishes CoinCounted"):
        handler(batch(enveloped(coin())), CONTEXT)
    (parked,) = parking.messages()
    reason = parked["MessageAttributes"]["Reason"]["StringValue"]
    assert "add @consumer(…, publishes=(CoinCounted,))" in reason
    assert metrics(capsys)["ConfigurationErrors"] == 1


def _run_consumer(effect: Effect) -> None:
    handler = consumer(CoinAdded)(lambda _: effect())
    assert failed(handler(batch(enveloped(coin())), CONTEXT)) == []


def _run_object_consumer(effect: Effect) -> None:
    handler = object_consumer()(lambda _: effect())
    stored = notification(record("files", "a.csv", "v1"))
    assert failed(handler(batch(stored), CONTEXT)) == []


def _run_endpoint(effect: Effect) -> None:
    def answer(*_: object) -> dict[str, str]:
        effect()
        return {}

    Call().send(endpoint(answers=dict[str, str])(answer))


def _run_waiting_task(effect: Effect) -> None:
    handler = waiting_task(CoinAdded)(lambda *_: effect())
    handler({**task_input(enveloped(coin())), "token": "token"}, CONTEXT)


def _run_window_consumer(effect: Effect) -> None:
    @window_consumer(read=lambda _: 1, consumes=(), summary=Sum, close=lambda _: effect())
    def handler(contents: Sequence[int], summary: Sum) -> Iterator[tuple[int, Sum]]:
        yield len(contents), summary

    handler({"Records": [], "state": {}, "isFinalInvokeForWindow": True}, CONTEXT)


KINDS: dict[str, Callable[[Effect], None]] = {
    "consumer": _run_consumer,
    "object_consumer": _run_object_consumer,
    "endpoint": _run_endpoint,
    "waiting_task": _run_waiting_task,
    "window_consumer": _run_window_consumer,
    "task": lambda effect: doing(effect)(),
}


@pytest.mark.parametrize("kind", KINDS)
def test_handlers_of_each_kind_are_checked_and_named_by_their_decorator(kind: str) -> None:
    with pytest.raises(Undeclared, match=rf"add @{kind}\(…, publishes=\(CoinCounted,\)\)"):
        KINDS[kind](publishing())


class TestWrongDeclarations:
    @pytest.mark.parametrize(
        ("declared", "message"),
        [
            ({"publishes": CoinCounted}, r"write a tuple, publishes=\(…,\)"),
            ({"publishes": (CoinAdded(purse="p", cents=1),)}, "name subclasses of Event"),
            ({"publishes": ("CoinCounted",)}, "has 'CoinCounted': name subclasses of Event"),
            ({"publishes": (OrderExpired,)}, "OrderExpired'>: name events of the handler's own"),
            ({"uses": PUT}, r"write a tuple, uses=\(…,\)"),
            ({"uses": "GetItem"}, r"has 'GetItem': write a tuple, uses=\(…,\)"),
            ({"uses": ("GetItem",)}, "has 'GetItem': choose among BATCH_GET, CONDITION_CHECK, "),
            ({"uses": (formerly(Use("GetItem", kind=Address)),)}, "own table alone `formerly`"),
            ({"uses": (Use("Scan"),)}, r"has Use\(operation='Scan'\): choose among"),  # type: ignore[arg-type]
        ],
    )
    def test_one_is_refused_when_its_module_is_imported(
        self, declared: dict[str, Any], message: str
    ) -> None:
        with pytest.raises(TypeError, match=message) as raised:
            doing(lambda: None, **declared)
        (option,) = declared
        assert str(raised.value).startswith(
            f"tests.eventing.test_declaration: @task({option}=…) has "
        )

    @pytest.mark.parametrize(
        "decorator",
        [
            partial(consumer, CoinAdded),
            object_consumer,
            partial(endpoint, answers=dict),
            partial(callback, body=dict, answers=dict),
            partial(task, CoinAdded),
            partial(waiting_task, CoinAdded),
            partial(
                window_consumer,
                read=lambda _: 1,
                consumes=(),
                summary=Sum,
                close=lambda _: None,
            ),
        ],
        ids=lambda decorator: getattr(decorator, "func", decorator).__name__,
    )
    def test_each_decorator_checks_its_options_and_is_named(
        self, decorator: Callable[..., Any]
    ) -> None:
        name = getattr(decorator, "func", decorator).__name__
        for option in ("publishes", "uses"):
            with pytest.raises(TypeError, match=rf"@{name}\({option}=…\) has 'x': "):
                decorator(**{option: ("x",)})(lambda *_: None)


def test_a_former_use_is_granted_and_refused() -> None:
    handler: Handler[None] = task(CoinAdded, uses=(GET, formerly(PUT)))(lambda *_: None)
    assert handler.uses == {GET}
    assert handler.granted == {GET, PUT}
    with pytest.raises(Undeclared, match="PutItem"):
        doing(USES["put"][0], uses=(formerly(PUT),))()


def test_a_declaration_can_be_read() -> None:
    handler: Handler[None] = task(CoinAdded, publishes=(CoinCounted,), uses=(GET,))(lambda *_: None)
    assert handler.publishes == {CoinCounted}
    assert handler.uses == {GET, PUT}
