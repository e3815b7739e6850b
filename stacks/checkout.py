"""Checkout: the saga from a placed order to its confirmation or rejection."""

from typing import Any

from aws_cdk import Duration, Stack
from aws_cdk import aws_stepfunctions as sfn
from aws_cdk import aws_stepfunctions_tasks as tasks
from aws_cdk.aws_lambda import IFunction
from constructs import Construct

from lambdas.checkout import run_checkout
from lambdas.checkout.settings import Settings
from lambdas.inventory.domain import StockRefused
from lambdas.orders.domain import OrderClosed, OrderStands
from lambdas.payments.domain import PaymentRefused
from lambdas.payments.payment_store import PaymentUnavailable
from stacks.constructs.event_consumer import EventConsumer
from stacks.constructs.platform import Platform
from stacks.constructs.workflow import Invoke, Kind, Workflow

_WORKFLOW_TIMEOUT = Duration.seconds(90)
_CONSUMER_TIMEOUT = Duration.seconds(run_checkout.PATIENCE_S + 5)


class Checkout(Stack):
    """Reserves, charges and confirms; or rejects and undoes what was done.

    A refusal is a business answer: the order is rejected, and what was done for it undone. Any
    other failure ends the execution; the message goes back to the queue and the checkout runs
    again, each step finding what it has done already.

    Two runs for one order may meet, since events are delivered at least once. So the status of the
    order decides, before anything is undone: a run that finds it confirmed by another stops there.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        platform: Platform,
        reserve_stock: IFunction,
        release_stock: IFunction,
        authorize_payment: IFunction,
        refund_payment: IFunction,
        confirm_order: IFunction,
        reject_order: IFunction,
        **kwargs: Any,
    ) -> None:
        super().__init__(scope, id_, **kwargs)
        reserve = Invoke(self, "ReserveStock", reserve_stock)
        authorize = Invoke(self, "AuthorizePayment", authorize_payment)
        confirm = Invoke(self, "ConfirmOrder", confirm_order)
        refund = Invoke(self, "RefundPayment", refund_payment)
        release = Invoke(self, "ReleaseStock", release_stock)
        reject = Invoke(self, "RejectOrder", reject_order)

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

        workflow = Workflow(
            self,
            "Workflow",
            platform=platform,
            kind=Kind.EXPRESS,
            start=reserve,
            timeout=_WORKFLOW_TIMEOUT,
        )
        run = EventConsumer(
            self,
            "RunCheckout",
            platform=platform,
            consumer=run_checkout.handler,
            settings=Settings(state_machine_arn=workflow.state_machine_arn),
            timeout=_CONSUMER_TIMEOUT,
            batch_size=1,  # an order that waits for its payment must not hold up others
        )
        workflow.grant_start_sync_execution(run.function)


def _on_refusal(
    task: tasks.LambdaInvoke, following: sfn.IChainable, *refusals: type[Exception]
) -> None:
    """Goes on with `following`, which finds the refusal in `failure`."""
    task.add_catch(
        following,
        errors=[refusal.__name__ for refusal in refusals],
        result_path="$.failure",
    )
