"""Workflow tasks: they get the workflow's event and the failure to compensate."""

import json

import msgspec
import pytest
from botocore.exceptions import ClientError

from lambdas.eventing.aggregate import Refusal
from lambdas.eventing.event import Delivery
from lambdas.eventing.misconfiguration import Misconfigured
from lambdas.eventing.task import Failure, Results, concluding_task, task, waiting_task
from tests.eventing.sample import CoinAdded, CoinCounted, coin
from tests.support.messages import CONTEXT, enveloped, task_input

Seen = list[tuple[Delivery[CoinAdded], Failure | None]]


@pytest.fixture
def seen() -> Seen:
    return []


def remembering(seen: Seen) -> object:
    @task(CoinAdded)
    def handler(delivery: Delivery[CoinAdded], failure: Failure | None) -> None:
        """Records its arguments."""
        seen.append((delivery, failure))

    return handler


def invoke(handler: object, event: object) -> object:
    return handler(event, CONTEXT)  # type: ignore[operator]


@pytest.mark.usefixtures("cloud")
class TestTask:
    def test_a_task_gets_the_event_and_its_ids(self, seen: Seen) -> None:
        envelope = enveloped(coin(3), correlation_id="correlation-9")
        invoke(remembering(seen), task_input(envelope))
        ((delivery, failure),) = seen
        assert delivery.event == coin(3)
        assert delivery.correlation_id == "correlation-9"
        assert delivery.event_id == delivery.causation_id == envelope.id
        assert failure is None

    def test_a_task_has_its_name_event_types_and_docstring(self, seen: Seen) -> None:
        def close_purse(delivery: Delivery[CoinAdded], _: Failure | None) -> None:
            """Closes."""
            seen.append((delivery, None))

        close_purse.__module__ = "lambdas.purses.close_purse"
        handler = task(CoinAdded)(close_purse)
        assert handler.__doc__ == "Closes."
        assert handler.name == "purses.close_purse"
        assert handler.consumes == (CoinAdded,)
        invoke(handler, task_input(enveloped(coin())))
        assert seen[0][0].consumer == "purses.close_purse"

    def test_a_configuration_error_has_one_name_for_the_workflow(self) -> None:
        denied = ClientError({"Error": {"Code": "AccessDeniedException"}}, "PutItem")

        @task(CoinAdded)
        def handler(delivery: Delivery[CoinAdded], failure: Failure | None) -> None:
            raise denied

        with pytest.raises(Misconfigured, match="PutItem was refused with AccessDenied"):
            invoke(handler, task_input(enveloped(coin())))

    def test_a_waiting_task_gets_its_token(self) -> None:
        found = []

        @waiting_task(CoinAdded)
        def handler(delivery: Delivery[CoinAdded], token: str) -> None:
            """Waits."""
            found.append((delivery.event, token))

        event = {**task_input(enveloped(coin(3))), "token": "token-1"}
        assert invoke(handler, event) is None
        assert found == [(coin(3), "token-1")]
        with pytest.raises(msgspec.ValidationError, match="token"):
            invoke(handler, task_input(enveloped(coin(3))))

    def test_a_task_returns_nothing_to_the_workflow(self, seen: Seen) -> None:
        assert invoke(remembering(seen), task_input(enveloped(coin()))) is None

    def test_a_compensation_gets_the_error_and_its_reason(self, seen: Seen) -> None:
        event = task_input(enveloped(coin()), error="PurseClosed", reason="lost")
        invoke(remembering(seen), event)
        ((_, failure),) = seen
        assert failure is not None
        assert failure.error == "PurseClosed"
        assert failure.reason == "lost"

    def test_other_fields_of_the_state_are_ignored(self, seen: Seen) -> None:
        invoke(remembering(seen), {**task_input(enveloped(coin())), "more": 1})
        assert len(seen) == 1

    def test_errors_are_raised_unchanged_for_the_workflow_to_catch(self) -> None:
        class PurseClosed(Refusal):
            pass

        @task(CoinAdded)
        def handler(delivery: Delivery[CoinAdded], _: Failure | None) -> None:
            raise PurseClosed("lost")

        with pytest.raises(PurseClosed, match=r"^lost$"):
            invoke(handler, task_input(enveloped(coin())))

    def test_an_event_of_another_type_is_rejected(self, seen: Seen) -> None:
        with pytest.raises(msgspec.ValidationError, match=r"CoinAdded.v1, not CoinCounted.v1"):
            invoke(remembering(seen), task_input(enveloped(CoinCounted(purse="p"))))

    def test_an_input_without_an_event_is_rejected(self, seen: Seen) -> None:
        with pytest.raises(msgspec.ValidationError, match="detail"):
            invoke(remembering(seen), {})


class TestFailure:
    """Causes in the format of Lambda and Step Functions.

    https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html
    """

    def test_the_reason_of_an_error_in_a_function_is_its_message(self) -> None:
        cause = {"errorMessage": "out_of_stock", "errorType": "StockRefused", "stackTrace": []}
        assert Failure("StockRefused", json.dumps(cause)).reason == "out_of_stock"

    @pytest.mark.parametrize("cause", ["", "no JSON", "{}", '{"errorMessage": 5}', "null"])
    def test_without_a_message_the_reason_is_the_error(self, cause: str) -> None:
        assert Failure("States.Timeout", cause).reason == "States.Timeout"

    def test_a_failure_is_read_with_the_capitalization_of_step_functions(self) -> None:
        failure = msgspec.convert({"Error": "E", "Cause": "C"}, Failure)
        assert failure == Failure("E", "C")


@pytest.mark.usefixtures("cloud")
class TestResults:
    def test_the_workflow_gets_what_a_task_returns(self) -> None:
        @task(CoinAdded)
        def handler(delivery: Delivery[CoinAdded], _: Failure | None) -> CoinAdded:
            """Returns the event."""
            return delivery.event

        assert invoke(handler, task_input(enveloped(coin(3)))) == {"purse": "p", "cents": 3}

    @pytest.mark.parametrize("results", [{}, {"First": {"kinds": ["a"]}}])
    def test_a_concluding_task_gets_the_results_of_earlier_tasks(
        self, results: dict[str, object]
    ) -> None:
        found: list[Results] = []

        @concluding_task(CoinAdded)
        def handler(_: Delivery[CoinAdded], earlier: Results) -> None:
            """Records its arguments."""
            found.append(earlier)

        given = {"results": results} if results else {}
        assert invoke(handler, {**task_input(enveloped(coin())), **given}) is None
        assert found == [results]
