"""Privacy: the erasure of a customer's personal data on request."""

from typing import Any

from aws_cdk import Duration
from aws_cdk import aws_stepfunctions as sfn
from aws_cdk.aws_apigatewayv2 import HttpMethod
from constructs import Construct

from lambdas.orders.personal_data import OrdersOpen
from lambdas.privacy import (
    complete_erasure,
    delete_account,
    get_customer_erasure,
    get_erasure,
    refuse_erasure,
    request_customer_erasure,
    request_erasure,
    start_erasure,
)
from lambdas.privacy.settings import AccountSettings, WorkflowSettings
from stacks.constructs.api import TOKEN_VALIDITY, Api
from stacks.constructs.context_stack import ContextStack
from stacks.constructs.event_consumer import EventConsumer
from stacks.constructs.outbox_table import OutboxTable
from stacks.constructs.platform import Platform
from stacks.constructs.python_function import PythonFunction
from stacks.constructs.workflow import Invoke, Kind, Workflow

_TOKENS_EXPIRED = Duration.minutes(TOKEN_VALIDITY.to_minutes() + 5)
"""How long after the deletion of an account a request of its customer may still arrive."""

_LONGEST_PAUSE = Duration.days(10)
"""The longest time between two attempts to erase, while an order from that hour is still open.

Ten attempts take two months at most, which is longer than a parcel takes.
"""

_WORKFLOW_TIMEOUT = Duration.days(90)


class Privacy(ContextStack):
    """Keeps one erasure per customer: requested, then refused, or completed with a proof.

    The workflow first asks orders whether an order or a return is open: then it is refused. It
    deletes the account, and waits until no token of it is valid any more. From then on, nothing new
    can arrive about the customer, and each context erases its part. Every step may be repeated.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        platform: Platform,
        api: Api,
        check_orders: PythonFunction,
        erase_orders: PythonFunction,
        erase_preferences: PythonFunction,
        **kwargs: Any,
    ) -> None:
        super().__init__(scope, id_, platform=platform, **kwargs)
        self.table = OutboxTable(self, "Erasures", platform=platform)
        delete = self.function(
            "DeleteAccount",
            delete_account.handler,
            settings=AccountSettings(user_pool_id=api.customers.user_pool_id),
        )
        workflow = Workflow(
            self,
            "Workflow",
            platform=platform,
            kind=Kind.STANDARD,
            start=self._definition(
                check=check_orders,
                refuse=self.function("RefuseErasure", refuse_erasure.handler),
                delete_account=delete,
                erase_orders=erase_orders,
                erase_preferences=erase_preferences,
                complete=self.function("CompleteErasure", complete_erasure.handler),
            ),
            timeout=_WORKFLOW_TIMEOUT,
        )
        start = self.consumer(
            EventConsumer,
            "StartErasure",
            start_erasure.handler,
            settings=WorkflowSettings(state_machine_arn=workflow.live_arn),
        )
        request = self.function("RequestErasure", request_erasure.handler)
        get = self.function("GetErasure", get_erasure.handler)
        request_for = self.function("RequestCustomerErasure", request_customer_erasure.handler)
        get_for = self.function("GetCustomerErasure", get_customer_erasure.handler)

        api.route(HttpMethod.POST, "/erasure", request)
        api.route(HttpMethod.GET, "/erasure", get)
        api.route(HttpMethod.POST, "/customers/{customer_id}/erasure", request_for)
        api.route(HttpMethod.GET, "/customers/{customer_id}/erasure", get_for)
        workflow.grant_start_execution(start.function)
        api.customers.grant(delete, "cognito-idp:AdminDeleteUser")

    def _definition(
        self,
        *,
        check: PythonFunction,
        refuse: PythonFunction,
        delete_account: PythonFunction,
        erase_orders: PythonFunction,
        erase_preferences: PythonFunction,
        complete: PythonFunction,
    ) -> sfn.State:
        # A scope of their own, so that states may have the names of their functions.
        steps = Construct(self, "Steps")
        first = Invoke(steps, "CheckOrders", check)
        first.add_catch(
            Invoke(steps, "RefuseErasure", refuse).next(sfn.Succeed(steps, "Refused")),
            errors=[OrdersOpen.__name__],
            result_path="$.failure",
        )
        orders = _erasing(steps, "EraseOrders", erase_orders)
        orders.add_retry(
            errors=[OrdersOpen.__name__],
            interval=Duration.hours(12),
            max_attempts=10,
            backoff_rate=2,
            max_delay=_LONGEST_PAUSE,
            jitter_strategy=sfn.JitterType.FULL,
        )
        wait = sfn.Wait(steps, "WaitForTokens", time=sfn.WaitTime.duration(_TOKENS_EXPIRED))
        return (
            first.next(_erasing(steps, "DeleteAccount", delete_account))
            .next(wait)
            .next(orders)
            .next(_erasing(steps, "ErasePreferences", erase_preferences))
            .next(Invoke(steps, "CompleteErasure", complete))
            .next(sfn.Succeed(steps, "Erased"))
            .start_state
        )


def _erasing(scope: Construct, id_: str, function: PythonFunction) -> Invoke:
    """Returns a step whose result, the kinds of erased data, becomes part of the proof."""
    return Invoke(
        scope,
        id_,
        function,
        result_selector={"context.$": "$.Payload.context", "kinds.$": "$.Payload.kinds"},
        result_path=f"$.results.{id_}",
    )
