"""Returns: orders that customers give back, if staff approve."""

from typing import Any

from aws_cdk import Duration
from aws_cdk import aws_iam as iam
from aws_cdk import aws_stepfunctions as sfn
from aws_cdk.aws_apigatewayv2 import HttpMethod
from constructs import Construct

from lambdas.payments.payment_store import PaymentUnavailable
from lambdas.returns import (
    await_decision,
    complete_return,
    decide_return,
    escalate_return,
    keep_order,
    list_returns,
    refuse_return,
    request_return,
    resume_return,
    return_store,
    review_return,
    start_return,
)
from lambdas.returns.domain import ApprovalStands
from lambdas.returns.settings import WorkflowSettings
from stacks.constructs.api import Api
from stacks.constructs.context_stack import ContextStack
from stacks.constructs.event_consumer import EventConsumer
from stacks.constructs.outbox_table import OutboxTable
from stacks.constructs.platform import Platform
from stacks.constructs.python_function import PythonFunction
from stacks.constructs.workflow import Invoke, InvokeAndWait, Kind, Workflow

_UNSEEN = Duration.days(2)
"""After how long without a review a return raises an alarm."""

_PATIENCE = Duration.days(14)
_PATIENCE_AFTER_ALARM = Duration.days(7)
_WORKFLOW_TIMEOUT = Duration.days(30)


class Returns(ContextStack):
    """Keeps one return per order: requested by the customer, decided by staff, then carried out.

    The workflow waits for a decision for up to three weeks. A decision is stored before the
    workflow is notified, and each wait begins by looking for a stored decision. So neither a lost
    call nor a wait that just ended loses a decision. Without a decision, the return is refused.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        platform: Platform,
        api: Api,
        refund_returned_order: PythonFunction,
        restock_returned_order: PythonFunction,
        **kwargs: Any,
    ) -> None:
        super().__init__(scope, id_, platform=platform, **kwargs)
        self.table = OutboxTable(
            self,
            "Returns",
            platform=platform,
            pending_index=True,
            listing=return_store.BY_TIME,
            append_only=return_store.DECISIONS,
        )
        await_ = self.function("AwaitDecision", await_decision.handler)
        workflow = Workflow(
            self,
            "Workflow",
            platform=platform,
            kind=Kind.STANDARD,
            start=self._definition(
                await_decision=await_,
                escalate=self.function("EscalateReturn", escalate_return.handler),
                refund=refund_returned_order,
                restock=restock_returned_order,
                complete=self.function("CompleteReturn", complete_return.handler),
                refuse=self.function("RefuseReturn", refuse_return.handler),
            ),
            timeout=_WORKFLOW_TIMEOUT,
        )
        start = self.consumer(
            EventConsumer,
            "StartReturn",
            start_return.handler,
            settings=WorkflowSettings(state_machine_arn=workflow.live_arn),
        )
        resume = self.consumer(EventConsumer, "ResumeReturn", resume_return.handler)
        self.consumer(EventConsumer, "KeepOrder", keep_order.handler, seconds_per_order=0.03)
        request = self.function("RequestReturn", request_return.handler)
        list_ = self.function("ListReturns", list_returns.handler)
        review = self.function("ReviewReturn", review_return.handler)
        decide = self.function("DecideReturn", decide_return.handler)
        self._alarms()

        api.route(HttpMethod.POST, "/orders/{order_id}/returns", request)
        api.route(HttpMethod.GET, "/returns", list_)
        api.route(HttpMethod.POST, "/returns/{order_id}/review", review)
        api.route(HttpMethod.POST, "/returns/{order_id}/decision", decide)
        workflow.grant_start_execution(start.function)
        workflow.grant(resume.function, "states:SendTaskSuccess")
        workflow.grant(review, "states:SendTaskHeartbeat")
        self._allow_answer(await_, workflow)

    def _allow_answer(self, function: PythonFunction, workflow: Workflow) -> None:
        # A separate policy: the workflow refers to the function, which refers to its own policy.
        iam.Policy(
            self,
            "AwaitDecisionMayAnswer",
            roles=[function.role] if function.role else [],
            statements=[
                iam.PolicyStatement(
                    actions=["states:SendTaskSuccess"], resources=[workflow.state_machine_arn]
                )
            ],
        )

    def _alarms(self) -> None:
        self.alarm(
            "Unseen",
            "EscalatedReturns",
            threshold=1,
            meaning="Nobody of the shop has looked at a return for two days.",
            page="nobody-looks-at-a-return",
        )

    def _definition(
        self,
        *,
        await_decision: PythonFunction,
        escalate: PythonFunction,
        refund: PythonFunction,
        restock: PythonFunction,
        complete: PythonFunction,
        refuse: PythonFunction,
    ) -> sfn.State:
        # A scope of their own, so that states may have the names of their functions.
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
        # In this order: States.Timeout also matches a missed heartbeat.
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
    """Continues with `following` on this error, with an unchanged state."""
    task.add_catch(following, errors=[error], result_path=sfn.JsonPath.DISCARD)
