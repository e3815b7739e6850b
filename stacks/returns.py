"""Returns: orders that come back, if somebody of the shop consents."""

from typing import Any

from aws_cdk import Duration, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_stepfunctions as sfn
from aws_cdk.aws_apigatewayv2 import HttpMethod
from aws_cdk.aws_lambda import IFunction
from constructs import Construct

from lambdas.eventing.consumer import Consumer
from lambdas.payments.payment_store import PaymentUnavailable
from lambdas.returns import (
    await_decision,
    complete_return,
    decide_return,
    escalate_return,
    events,
    keep_order,
    list_returns,
    refuse_return,
    request_return,
    resume_return,
    review_return,
    start_return,
)
from lambdas.returns.domain import ApprovalStands
from lambdas.returns.settings import WorkflowSettings
from stacks.constructs.alarm import Alarm
from stacks.constructs.api import Api
from stacks.constructs.event_consumer import EventConsumer
from stacks.constructs.metric import service_metric
from stacks.constructs.outbox_table import OutboxTable
from stacks.constructs.platform import Platform
from stacks.constructs.python_function import Handler, PythonFunction
from stacks.constructs.workflow import Invoke, InvokeAndWait, Kind, Workflow

_UNSEEN = Duration.days(2)
"""After how long without anybody looking at a return the shop is alarmed."""

_PATIENCE = Duration.days(14)
_PATIENCE_AFTER_ALARM = Duration.days(7)
_WORKFLOW_TIMEOUT = Duration.days(30)


class Returns(Stack):
    """Keeps one return per order: requested by the customer, decided by staff, then carried out.

    The workflow waits for a person for up to three weeks. A decision is stored before the workflow
    hears of it, and each wait begins with a look whether there is one: so neither a lost call nor a
    wait that just ended loses a decision. If nobody decides, the return is refused.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        platform: Platform,
        api: Api,
        refund_returned_order: IFunction,
        restock_returned_order: IFunction,
        **kwargs: Any,
    ) -> None:
        super().__init__(scope, id_, **kwargs)
        returns = OutboxTable(
            self, "Returns", platform=platform, publishes=events.PUBLISHED, pending_index=True
        )

        def function(id_: str, handler: Handler, *operations: str) -> PythonFunction:
            made = PythonFunction(
                self, id_, platform=platform, handler=handler, settings=returns.settings
            )
            if operations:
                returns.allow(made, *operations)
            return made

        def consumer(id_: str, consumer: Consumer[Any], **options: Any) -> PythonFunction:
            return EventConsumer(
                self, id_, platform=platform, consumer=consumer, **options
            ).function

        changes = ("GetItem", "UpdateItem")
        publishes = (*changes, "PutItem")
        awaits = function("AwaitDecision", await_decision.handler, *changes)
        workflow = Workflow(
            self,
            "Workflow",
            platform=platform,
            kind=Kind.STANDARD,
            start=self._definition(
                await_decision=awaits,
                escalate=function("EscalateReturn", escalate_return.handler, *changes),
                refund=refund_returned_order,
                restock=restock_returned_order,
                complete=function("CompleteReturn", complete_return.handler, *publishes),
                refuse=function("RefuseReturn", refuse_return.handler, *publishes),
            ),
            timeout=_WORKFLOW_TIMEOUT,
        )

        consumer("KeepOrder", keep_order.handler, table=returns, operations=["UpdateItem"])
        starts = consumer(
            "StartReturn",
            start_return.handler,
            settings=WorkflowSettings(state_machine_arn=workflow.state_machine_arn),
        )
        resumes = consumer(
            "ResumeReturn", resume_return.handler, table=returns, operations=["GetItem"]
        )

        request = function("RequestReturn", request_return.handler, "GetItem", "PutItem")
        list_ = function("ListReturns", list_returns.handler)
        review = function("ReviewReturn", review_return.handler, *changes)
        decide = function("DecideReturn", decide_return.handler, *publishes)
        api.route(HttpMethod.POST, "/orders/{order_id}/returns", request)
        api.route(HttpMethod.GET, "/returns", list_)
        api.route(HttpMethod.POST, "/returns/{order_id}/review", review)
        api.route(HttpMethod.POST, "/returns/{order_id}/decision", decide)

        returns.allow_finding_pending(list_)
        workflow.grant_start_execution(starts)
        workflow.grant(resumes, "states:SendTaskSuccess")
        workflow.grant(review, "states:SendTaskHeartbeat")
        # A policy of its own: the workflow refers to the function, which refers to its policy.
        iam.Policy(
            self,
            "AwaitDecisionMayAnswer",
            roles=[awaits.role] if awaits.role else [],
            statements=[
                iam.PolicyStatement(
                    actions=["states:SendTaskSuccess"], resources=[workflow.state_machine_arn]
                )
            ],
        )
        Alarm(
            self,
            "Unseen",
            platform=platform,
            metric=service_metric(platform, context="returns", name="EscalatedReturns"),
            threshold=1,
            meaning="Nobody of the shop has looked at a return for two days.",
            page="nobody-looks-at-a-return",
        )

    def _definition(
        self,
        *,
        await_decision: IFunction,
        escalate: IFunction,
        refund: IFunction,
        restock: IFunction,
        complete: IFunction,
        refuse: IFunction,
    ) -> sfn.State:
        # States may be called as the functions are that they invoke.
        steps = Construct(self, "Steps")
        ask = InvokeAndWait(
            steps,
            "AskForApproval",
            await_decision,
            result_path="$.decision",
            patience=_PATIENCE,
            heartbeat=_UNSEEN,
        )
        ask_again = InvokeAndWait(
            steps,
            "AskAgain",
            await_decision,
            result_path="$.decision",
            patience=_PATIENCE_AFTER_ALARM,
        )
        alarm = Invoke(steps, "EscalateReturn", escalate)
        give_back = Invoke(steps, "RefundPayment", refund)
        give_back.add_retry(
            errors=[PaymentUnavailable.__name__],
            interval=Duration.seconds(30),
            max_attempts=10,
            backoff_rate=2,
            max_delay=Duration.minutes(30),
            jitter_strategy=sfn.JitterType.FULL,
        )
        end = Invoke(steps, "RefuseReturn", refuse)

        approved = sfn.Condition.boolean_equals("$.decision.approved", True)
        decided = sfn.Choice(steps, "IsApproved").when(approved, give_back).otherwise(end)
        # In this order: States.Timeout stands for a heartbeat that is lacking, too.
        _on_error(ask, "States.HeartbeatTimeout", alarm)
        _on_error(ask, "States.Timeout", end)
        _on_error(ask_again, "States.Timeout", end)
        _on_error(end, ApprovalStands.__name__, give_back)
        ask.next(decided)
        alarm.next(ask_again).next(decided)
        give_back.next(Invoke(steps, "RestockItems", restock)).next(
            Invoke(steps, "CompleteReturn", complete)
        ).next(sfn.Succeed(steps, "Returned"))
        end.next(sfn.Succeed(steps, "Refused"))
        return ask


def _on_error(task: Invoke, error: str, following: sfn.IChainable) -> None:
    """Goes on with `following`, with the state as it was."""
    task.add_catch(following, errors=[error], result_path=sfn.JsonPath.DISCARD)
