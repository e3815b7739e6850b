"""The workflow of a return: the synthesized definition with the real tasks of all contexts."""

from collections.abc import Generator, Mapping
from itertools import islice
from typing import Any

import pytest

from cdk_rehearsal import Assembly
from lambdas.inventory import reserve_stock
from lambdas.inventory import settings as inventory_settings
from lambdas.payments import authorize_payment
from lambdas.payments import settings as payments_settings
from lambdas.payments.provider import Settlement, Unavailable
from lambdas.payments.sandbox_provider import SandboxProvider
from lambdas.returns import settings as returns_settings
from lambdas.returns.events import OrderReturned, ReturnRefused
from tests.inventory import context as inventory_context
from tests.payments import context as payments_context
from tests.returns.context import ORDER, Returns
from tests.support.cloud import Cloud, Table
from tests.support.messages import CONTEXT, enveloped, task_input
from tests.support.orders import PAYMENT, line, placed
from tests.support.workflow import Workflow

DAY_S = 24 * 3600
HEARTBEAT = "States.HeartbeatTimeout"
TIMEOUT = "States.Timeout"
RETURN_STEPS = ["RefundPayment", "RestockItems", "CompleteReturn"]

Execution = Generator[str, str | None, str]


@pytest.fixture(scope="module")
def dev(templates: Mapping[str, Assembly]) -> Assembly:
    return templates["dev"]


@pytest.fixture(scope="module")
def prod(templates: Mapping[str, Assembly]) -> Assembly:
    return templates["prod"]


class ReturnCase:
    """A delivered and paid order with its requested return."""

    def __init__(self, assembly: Assembly, cloud: Cloud) -> None:
        vault = cloud.vault()
        self.returns = Returns.in_cloud(cloud)
        returns_settings.settings()  # each context reads and caches its own settings
        for settings, read in (
            (inventory_context.SETTINGS, inventory_settings.settings),
            (payments_context.SETTINGS, payments_settings.settings),
        ):
            for name, value in settings.as_environment().items():
                cloud.monkeypatch.setenv(name, value)
            read()
        self.stock = cloud.table(inventory_context.SETTINGS.table_name)
        cloud.table(payments_context.SETTINGS.table_name)
        provider_table = payments_context.SETTINGS.provider_resource
        self.provider_table: Table = cloud.table(provider_table, sort_key=False)
        key = {"pk": "STOCK#MUG", "sk": "STOCK", "kind": "stock", "price_revision": 1}
        self.stock.put({**key, "received": 1, "available": 1, "reserved": 0})
        event = placed(line(), order_id=ORDER)
        order = task_input(enveloped(event))
        vault.deposit(event.claim, PAYMENT)
        reserve_stock.handler(order, CONTEXT)
        authorize_payment.handler(order, CONTEXT)
        self.returns.requested()
        machine = assembly.at("Returns/Workflow")
        self.workflow = Workflow(assembly, machine, self.returns.service)

    def execution(self) -> Execution:
        """Starts an execution."""
        return self.workflow.run(task_input(self.returns.event()))

    @property
    def holdings(self) -> tuple[int, str]:
        """The available units and the status of the provider's authorization."""
        return self.stock.one("stock")["available"], self.provider_table.one("authorization")[
            "status"
        ]

    def assert_ended(self, *, returned: bool) -> None:
        """Asserts who has the money and the units, and that the matching event was published."""
        published = self.returns.table.published()
        assert published.count("OrderReturned.v1") == returned
        assert published.count("ReturnRefused.v2") == (not returned)
        assert self.holdings == ((1, "cancelled") if returned else (0, "authorized"))


@pytest.fixture
def shop(dev: Assembly, cloud: Cloud) -> ReturnCase:
    return ReturnCase(dev, cloud)


def until(execution: Execution, stop: str) -> list[str]:
    """Runs an execution up to a stop; returns all stops."""
    stops = []
    for name in execution:
        stops.append(name)
        if name == stop:
            return stops
    raise AssertionError(f"the execution never stops at {stop}: {stops}")


class TestExecutions:
    def test_an_approved_return_refunds_the_payment_and_restocks_the_units(
        self, shop: ReturnCase
    ) -> None:
        execution = shop.execution()
        until(execution, "AskForApproval waits")
        shop.returns.decide()
        shop.returns.resume()
        assert list(execution) == RETURN_STEPS
        shop.assert_ended(returned=True)

    def test_a_refused_return_changes_neither_payment_nor_stock(self, shop: ReturnCase) -> None:
        execution = shop.execution()
        until(execution, "AskForApproval waits")
        shop.returns.decide(approved=False)
        shop.returns.resume()
        assert list(execution) == ["RefuseReturn"]
        shop.assert_ended(returned=False)

    @pytest.mark.parametrize("approved", [True, False])
    def test_a_return_without_a_review_is_escalated_and_waits_again(
        self, shop: ReturnCase, approved: bool, capsys: pytest.CaptureFixture[str]
    ) -> None:
        execution = shop.execution()
        until(execution, "AskForApproval waits")
        assert execution.send(HEARTBEAT) == "EscalateReturn"
        assert until(execution, "AskAgain waits") == ["AskAgain", "AskAgain waits"]
        assert '"EscalatedReturns":[1.0]' in capsys.readouterr().out
        shop.returns.decide(approved=approved)
        shop.returns.resume()
        assert list(execution) == (RETURN_STEPS if approved else ["RefuseReturn"])
        shop.assert_ended(returned=approved)

    @pytest.mark.parametrize("waits", [[TIMEOUT], [HEARTBEAT, TIMEOUT]], ids=str)
    def test_a_return_without_a_decision_is_refused(
        self, shop: ReturnCase, waits: list[str]
    ) -> None:
        execution = shop.execution()
        until(execution, "AskForApproval waits")
        for number, error in enumerate(waits):
            stop = execution.send(error)
            if number < len(waits) - 1:
                assert stop == "EscalateReturn"
                until(execution, "AskAgain waits")
        assert list(execution) == []
        shop.assert_ended(returned=False)
        (refused,) = shop.returns.events(ReturnRefused)
        assert isinstance(refused, ReturnRefused)
        assert refused.reason == "not_reviewed"

    def test_an_approval_during_the_timeout_is_carried_out(self, shop: ReturnCase) -> None:
        """The API has confirmed the approval to staff, so the workflow must follow it."""
        execution = shop.execution()
        until(execution, "AskForApproval waits")
        shop.returns.decide()
        assert execution.send(TIMEOUT) == "RefuseReturn"
        assert list(execution) == RETURN_STEPS
        assert shop.returns.resume() == []
        shop.assert_ended(returned=True)

    def test_an_approval_during_the_escalation_is_carried_out(self, shop: ReturnCase) -> None:
        execution = shop.execution()
        until(execution, "AskForApproval waits")
        assert execution.send(HEARTBEAT) == "EscalateReturn"
        shop.returns.decide()
        assert shop.returns.resume() == []
        assert list(execution) == ["AskAgain", *RETURN_STEPS]
        shop.assert_ended(returned=True)

    def test_a_refund_that_is_temporarily_unavailable_is_retried(
        self, shop: ReturnCase, cloud: Cloud
    ) -> None:
        release = SandboxProvider.release
        calls: list[str] = []

        def flaky(provider: SandboxProvider, key: str) -> Settlement:
            calls.append(key)
            if len(calls) < 4:
                raise Unavailable("try again later")
            return release(provider, key)

        cloud.monkeypatch.setattr(SandboxProvider, "release", flaky)
        execution = shop.execution()
        until(execution, "AskForApproval waits")
        shop.returns.decide()
        shop.returns.resume()
        assert list(execution) == ["RefundPayment"] * 4 + RETURN_STEPS[1:]
        shop.assert_ended(returned=True)

    @pytest.mark.parametrize("stop", range(1, 6))
    def test_a_second_execution_repeats_no_effect(self, shop: ReturnCase, stop: int) -> None:
        """A redrive repeats a step; an event redelivered after 90 days starts another execution."""
        first = shop.execution()
        until(first, "AskForApproval waits")
        shop.returns.decide()
        shop.returns.resume()
        list(islice(first, stop))
        assert list(shop.execution())[-1] == "CompleteReturn"
        list(first)
        shop.assert_ended(returned=True)
        assert len(shop.returns.events(OrderReturned)) == 1


class TestDefinition:
    @pytest.fixture
    def states(self, prod: Assembly) -> dict[str, Any]:
        found: dict[str, Any] = prod.definition(prod.at("Returns/Workflow"))["States"]
        return found

    @pytest.fixture
    def waits(self, states: dict[str, Any]) -> dict[str, Any]:
        return {
            name: state
            for name, state in states.items()
            if state.get("Resource", "").endswith(".waitForTaskToken")
        }

    def test_the_workflow_is_standard_and_logged_without_its_data(self, prod: Assembly) -> None:
        properties = prod.at("Returns/Workflow").properties
        assert properties["StateMachineType"] == "STANDARD"
        assert properties["LoggingConfiguration"]["Level"] == "ALL"
        assert properties["LoggingConfiguration"]["IncludeExecutionData"] is False
        # Its functions log the spans: docs/decisions/0077-spans-are-lines-of-the-log.md.
        assert "TracingConfiguration" not in properties

    def test_every_task_and_the_workflow_have_a_timeout(
        self, prod: Assembly, states: dict[str, Any]
    ) -> None:
        longest = prod.definition(prod.at("Returns/Workflow"))["TimeoutSeconds"]
        bounds = [state["TimeoutSeconds"] for state in states.values() if state["Type"] == "Task"]
        assert sum(bounds) < longest <= 365 * DAY_S

    def test_each_wait_catches_its_timeout_and_the_first_its_missing_heartbeat(
        self, waits: dict[str, Any]
    ) -> None:
        assert waits.keys() == {"AskForApproval", "AskAgain"}
        assert waits["AskForApproval"]["HeartbeatSeconds"] == 2 * DAY_S
        assert "HeartbeatSeconds" not in waits["AskAgain"]
        for state in waits.values():
            assert state["ResultPath"] == "$.decision"
            caught = [catcher["ErrorEquals"] for catcher in state["Catch"]]
            expected = [[HEARTBEAT], [TIMEOUT]] if "HeartbeatSeconds" in state else [[TIMEOUT]]
            assert caught == expected  # in this order: a missing heartbeat is a timeout, too

    def test_a_timed_out_wait_is_never_retried(self, states: dict[str, Any]) -> None:
        for name, state in states.items():
            for retrier in state.get("Retry", []):
                assert not {"States.ALL", "States.TaskFailed", TIMEOUT, HEARTBEAT} & set(
                    retrier["ErrorEquals"]
                ), name
                assert retrier["JitterStrategy"] == "FULL", name
                assert 1 <= retrier["MaxAttempts"] <= 10, name
                assert retrier["MaxDelaySeconds"] <= 1800, name

    def test_only_these_roles_may_answer_the_workflow(self, prod: Assembly) -> None:
        granted: dict[str, set[str]] = {}
        for policy in prod.of_type("AWS::IAM::Policy"):
            for statement in policy.properties["PolicyDocument"]["Statement"]:
                actions = statement["Action"]
                for action in [actions] if isinstance(actions, str) else actions:
                    if action.startswith("states:SendTask"):
                        machine = prod.referred(policy.stack, statement["Resource"])
                        assert machine.path == "Returns/Workflow"
                        roles = policy.properties["Roles"]
                        held = {prod.referred(policy.stack, role).path for role in roles}
                        granted.setdefault(action, set()).update(held)
        assert granted == {
            "states:SendTaskSuccess": {
                "Returns/AwaitDecisionRole",
                "Returns/ResumeReturn/FunctionRole",
            },
            "states:SendTaskHeartbeat": {"Returns/ReviewReturnRole"},
        }
