"""Workflows: Express state machines whose tasks are functions."""

from collections.abc import Sequence

from aws_cdk import Duration
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from aws_cdk import aws_stepfunctions as sfn
from aws_cdk import aws_stepfunctions_tasks as tasks
from aws_cdk.aws_lambda import IFunction
from constructs import Construct

from stacks.constructs.acknowledge import SOLUTIONS, acknowledge, permit_double_dependency
from stacks.constructs.alarm import Alarm
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


class Workflow(sfn.StateMachine):
    """An Express state machine, logged without its data, traced, and with alarms."""

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        platform: Platform,
        start: sfn.IChainable,
        functions: Sequence[IFunction],
        timeout: Duration,
    ) -> None:
        log_group = logs.LogGroup(
            scope,
            f"{id_}Log",
            log_group_name=f"/aws/vendedlogs/states/orderflow-{platform.environment.name}-{id_}",
            retention=platform.environment.log_retention,
            removal_policy=platform.environment.removal_policy,
        )
        role = iam.Role(
            scope, f"{id_}Role", assumed_by=iam.ServicePrincipal("states.amazonaws.com")
        )
        for statement in _permissions(functions):
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
            state_machine_type=sfn.StateMachineType.EXPRESS,
            definition_body=sfn.DefinitionBody.from_chainable(start),
            timeout=timeout,
            tracing_enabled=True,
            logs=sfn.LogOptions(
                destination=log_group, level=sfn.LogLevel.ALL, include_execution_data=False
            ),
        )
        permit_double_dependency(self)
        for name, metric in {
            "Failed": self.metric_failed(period=Duration.minutes(5), statistic="Sum"),
            "TimedOut": self.metric_timed_out(period=Duration.minutes(5), statistic="Sum"),
            "Throttled": self.metric_throttled(period=Duration.minutes(5), statistic="Sum"),
        }.items():
            Alarm(
                self,
                name,
                platform=platform,
                metric=metric,
                threshold=5,
                meaning="Executions of the workflow fail; their messages are delivered again.",
                page="a-workflow-fails",
            )


def _permissions(functions: Sequence[IFunction]) -> list[iam.PolicyStatement]:
    return [
        iam.PolicyStatement(
            actions=["lambda:InvokeFunction"],
            resources=[function.function_arn for function in functions],
        ),
        iam.PolicyStatement(actions=[*_XRAY, *_LOG_DELIVERY], resources=["*"]),
    ]


def invoke(scope: Construct, id_: str, function: IFunction) -> tasks.LambdaInvoke:
    """A task that hands the workflow's whole state to `function` and goes on with that state.

    Tasks keep what they did in their own tables, so nothing but the event travels along.
    """
    task = tasks.LambdaInvoke(
        scope,
        id_,
        lambda_function=function,
        result_path=sfn.JsonPath.DISCARD,
        retry_on_service_exceptions=False,
        task_timeout=sfn.Timeout.duration(Duration.seconds(15)),
    )
    task.add_retry(
        errors=_PASSING,
        interval=Duration.seconds(1),
        max_attempts=4,
        backoff_rate=2,
        max_delay=Duration.seconds(10),
        jitter_strategy=sfn.JitterType.FULL,
    )
    return task
