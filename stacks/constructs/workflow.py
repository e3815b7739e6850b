"""Workflows: state machines whose tasks are functions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aws_cdk import Duration, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from aws_cdk import aws_stepfunctions as sfn
from aws_cdk import aws_stepfunctions_tasks as tasks
from aws_cdk.aws_lambda import IFunction
from constructs import Construct

from stacks.constructs.acknowledge import SOLUTIONS, acknowledge, permit_double_dependency
from stacks.constructs.alarm import Alarm
from stacks.constructs.naming import generation_of
from stacks.constructs.platform import Platform

_PASSING = [
    "Lambda.ServiceException",
    "Lambda.AWSLambdaException",
    "Lambda.SdkClientException",
    "Lambda.ClientExecutionTimeoutException",
    "Lambda.TooManyRequestsException",
    "Sandbox.Timedout",
    "Contention",
]
"""What may pass by itself: https://docs.aws.amazon.com/step-functions/latest/dg/bp-lambda-serviceexception.html
and the kernel's error for items that others keep changing."""


_XRAY = [
    "xray:PutTraceSegments",
    "xray:PutTelemetryRecords",
    "xray:GetSamplingRules",
    "xray:GetSamplingTargets",
]
"""https://docs.aws.amazon.com/step-functions/latest/dg/xray-iam.html"""

_LOG_DELIVERY = [
    "logs:CreateLogDelivery",
    "logs:GetLogDelivery",
    "logs:UpdateLogDelivery",
    "logs:DeleteLogDelivery",
    "logs:ListLogDeliveries",
    "logs:PutResourcePolicy",
    "logs:DescribeResourcePolicies",
    "logs:DescribeLogGroups",
]
"""https://docs.aws.amazon.com/step-functions/latest/dg/cw-logs.html"""


Kind = sfn.StateMachineType


@dataclass(frozen=True)
class _Failing:
    """How executions of a kind end badly, what it means, and from how many in five minutes on."""

    metrics: tuple[str, ...]
    threshold: int
    meaning: str
    page: str


_THROTTLED = "ExecutionThrottled"
_WAITING = "State transitions of the workflow are throttled: executions wait, and may time out."


_FAILING: Mapping[Kind, _Failing] = {
    Kind.EXPRESS: _Failing(
        metrics=("ExecutionsFailed", "ExecutionsTimedOut"),
        threshold=5,
        meaning="Executions of the workflow fail; their messages are delivered again.",
        page="a-workflow-fails",
    ),
    # Nobody starts these again: each that ends badly waits for somebody.
    Kind.STANDARD: _Failing(
        metrics=("ExecutionsFailed", "ExecutionsTimedOut", "ExecutionsAborted"),
        threshold=1,
        meaning="An execution of the workflow ended badly and waits to be redriven.",
        page="an-execution-waits-to-be-redriven",
    ),
}
"""https://docs.aws.amazon.com/step-functions/latest/dg/procedure-cw-metrics.html"""


class Workflow(sfn.StateMachine):
    """A state machine, logged without its data, traced, and with alarms.

    It may invoke the functions of its tasks, which are all `Invoke` or `InvokeAndWait`.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        platform: Platform,
        kind: Kind,
        start: sfn.State,
        timeout: Duration,
    ) -> None:
        # The dashboard finds it by this name: of itself a state machine's does not tell its stage.
        name = f"orderflow-{platform.environment.name}-{Stack.of(scope).node.id}"
        log_group = logs.LogGroup(
            scope,
            f"{id_}Log",
            # Step Functions delivers to groups under this name without a policy for each.
            log_group_name=f"/aws/vendedlogs/states/{name}-{generation_of(scope)}",
            retention=platform.environment.log_retention,
            removal_policy=platform.environment.removal_policy,
        )
        role = iam.Role(
            scope, f"{id_}Role", assumed_by=iam.ServicePrincipal("states.amazonaws.com")
        )
        for statement in _permissions(_functions(start)):
            role.add_to_policy(statement)
        acknowledge(
            role,
            {
                f"{SOLUTIONS}IAM5[Resource::*]": "X-Ray's and the log delivery's actions cannot be "
                "limited to a resource; nothing else has a wildcard."
            },
        )
        super().__init__(
            scope,
            id_,
            # The library would add each function's versions and aliases as a wildcard.
            role=role.without_policy_updates(),
            # With its kind: one of another kind replaces it, which it could not under its name.
            state_machine_name=f"{name}-{kind.value.title()}",
            state_machine_type=kind,
            definition_body=sfn.DefinitionBody.from_chainable(start),
            timeout=timeout,
            tracing_enabled=True,
            logs=sfn.LogOptions(
                destination=log_group, level=sfn.LogLevel.ALL, include_execution_data=False
            ),
        )
        permit_double_dependency(self)
        failing = _FAILING[kind]
        for metric in (*failing.metrics, _THROTTLED):
            Alarm(
                self,
                metric,
                platform=platform,
                metric=cloudwatch.Metric(
                    namespace="AWS/States",
                    metric_name=metric,
                    dimensions_map={"StateMachineArn": self.state_machine_arn},
                    statistic="Sum",
                    period=Duration.minutes(5),
                ),
                threshold=failing.threshold,
                meaning=_WAITING if metric == _THROTTLED else failing.meaning,
                page=failing.page,
            )


class Invoke(tasks.LambdaInvoke):
    """A task that hands the workflow's whole state to `function` and goes on with that state.

    Tasks keep what they did in their own tables, so nothing but the event travels along.
    """

    def __init__(self, scope: Construct, id_: str, function: IFunction, **options: Any) -> None:
        options.setdefault("result_path", sfn.JsonPath.DISCARD)
        options.setdefault("task_timeout", sfn.Timeout.duration(Duration.seconds(15)))
        super().__init__(
            scope, id_, lambda_function=function, retry_on_service_exceptions=False, **options
        )
        self.function = function
        self.add_retry(
            errors=_PASSING,
            interval=Duration.seconds(1),
            max_attempts=4,
            backoff_rate=2,
            max_delay=Duration.seconds(10),
            jitter_strategy=sfn.JitterType.FULL,
        )


class InvokeAndWait(Invoke):
    """A task that hands the event and a task token to `function`, and waits for the answer.

    Whoever has the token answers, with `SendTaskSuccess`; the answer is put at `result_path`. The
    task ends with States.HeartbeatTimeout if nobody shows that they are at it for as long as
    `heartbeat`, and with States.Timeout after `patience`.
    https://docs.aws.amazon.com/step-functions/latest/dg/connect-to-resource.html#connect-wait-token
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        function: IFunction,
        *,
        result_path: str,
        patience: Duration,
        heartbeat: Duration | None = None,
    ) -> None:
        super().__init__(
            scope,
            id_,
            function,
            integration_pattern=sfn.IntegrationPattern.WAIT_FOR_TASK_TOKEN,
            payload=sfn.TaskInput.from_object(
                {"detail": sfn.JsonPath.object_at("$.detail"), "token": sfn.JsonPath.task_token}
            ),
            result_path=result_path,
            task_timeout=sfn.Timeout.duration(patience),
            heartbeat_timeout=sfn.Timeout.duration(heartbeat) if heartbeat else None,
        )


def _functions(start: sfn.State) -> list[IFunction]:
    """The functions of all tasks that can be reached from `start`, each once."""
    functions: dict[str, IFunction] = {}
    for state in sfn.State.find_reachable_states(start, include_error_handlers=True):
        if isinstance(state, Invoke):
            functions[state.function.node.path] = state.function
        elif isinstance(state, sfn.TaskStateBase):
            raise TypeError(f"{state.node.path} has to be an Invoke: its function is not known")
    return list(functions.values())


def _permissions(functions: Sequence[IFunction]) -> list[iam.PolicyStatement]:
    return [
        iam.PolicyStatement(
            actions=["lambda:InvokeFunction"],
            resources=[function.function_arn for function in functions],
        ),
        iam.PolicyStatement(actions=[*_XRAY, *_LOG_DELIVERY], resources=["*"]),
    ]
