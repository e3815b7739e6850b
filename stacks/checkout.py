"""Checkout: the saga from a placed order to its confirmation or rejection."""

from typing import Any

from aws_cdk import Duration
from aws_cdk import aws_stepfunctions as sfn
from aws_cdk import aws_stepfunctions_tasks as tasks
from constructs import Construct

from lambdas.checkout import run_checkout
from lambdas.checkout.settings import Settings
from lambdas.inventory.domain import StockRefused
from lambdas.orders.domain import OrderClosed, OrderStands
from lambdas.payments.domain import PaymentRefused
from lambdas.payments.payment_store import PaymentUnavailable
from stacks.constructs.context_stack import ContextStack
from stacks.constructs.event_consumer import EventConsumer
from stacks.constructs.platform import Platform
from stacks.constructs.python_function import WAITING_MB, PythonFunction
from stacks.constructs.workflow import Invoke, Kind, Workflow

_AUTHORIZATION = sfn.Timeout.duration(Duration.seconds(30))
"""More than the timeout of the function, which waits for the customer's bank."""
_WORKFLOW_TIMEOUT = Duration.seconds(75)
_CONSUMER_TIMEOUT = Duration.seconds(run_checkout.PATIENCE_S + 5)


class Checkout(ContextStack):
    """Reserves stock, authorizes the payment and confirms the order, or rejects and compensates.

    After a refusal, the order is rejected and its earlier steps are compensated. Any other failure
    ends the execution: the message returns to the queue, the checkout runs again, and each step
    finds what it has done before.

    Two executions for one order may overlap, because events are delivered at least once. So the
    order's status decides before any compensation: an execution stops if another one has confirmed
    the order.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        platform: Platform,
        reserve_stock: PythonFunction,
        release_stock: PythonFunction,
        authorize_payment: PythonFunction,
        refund_payment: PythonFunction,
        confirm_order: PythonFunction,
        reject_order: PythonFunction,
        **kwargs: Any,
    ) -> None:
        super().__init__(scope, id_, platform=platform, **kwargs)
        workflow = Workflow(
            self,
            "Workflow",
            platform=platform,
            kind=Kind.EXPRESS,
            start=self._definition(
                reserve=Invoke(self, "ReserveStock", reserve_stock),
                authorize=Invoke(
                    self, "AuthorizePayment", authorize_payment, task_timeout=_AUTHORIZATION
                ),
                confirm=Invoke(self, "ConfirmOrder", confirm_order),
                refund=Invoke(self, "RefundPayment", refund_payment),
                release=Invoke(self, "ReleaseStock", release_stock),
                reject=Invoke(self, "RejectOrder", reject_order),
            ),
            timeout=_WORKFLOW_TIMEOUT,
        )
        run = self.consumer(
            EventConsumer,
            "RunCheckout",
            run_checkout.handler,
            settings=Settings(state_machine_arn=workflow.live_arn),
            timeout=_CONSUMER_TIMEOUT,
            memory_mb=WAITING_MB,
            seconds_per_order=1.23,  # it waits for the workflow
            orders_per_second=platform.environment.payments_per_second,
            batch_size=1,  # an order that waits for its payment must not delay others
        )

        workflow.grant_start_sync_execution(run.function)

    def _definition(
        self,
        *,
        reserve: Invoke,
        authorize: Invoke,
        confirm: Invoke,
        refund: Invoke,
        release: Invoke,
        reject: Invoke,
    ) -> sfn.State:
        authorize.add_retry(
            errors=[PaymentUnavailable.__name__],
            interval=Duration.seconds(1),
            max_attempts=4,
            backoff_rate=2,
            max_delay=Duration.seconds(8),
            jitter_strategy=sfn.JitterType.FULL,
        )
        confirmed = sfn.Succeed(self, "Confirmed")
        _on_refusal(reserve, reject, StockRefused)
        _on_refusal(authorize, reject, PaymentRefused, PaymentUnavailable)
        _on_refusal(confirm, reject, OrderClosed)
        _on_refusal(reject, confirmed, OrderStands)
        reserve.next(authorize).next(confirm).next(confirmed)
        reject.next(refund).next(release).next(sfn.Succeed(self, "NotConfirmed"))
        return reserve


def _on_refusal(
    task: tasks.LambdaInvoke, following: sfn.IChainable, *refusals: type[Exception]
) -> None:
    """Continues with `following`, which finds the refusal in `failure`."""
    task.add_catch(
        following,
        errors=[refusal.__name__ for refusal in refusals],
        result_path="$.failure",
    )
