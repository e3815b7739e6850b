"""Workflows: state machines whose tasks are functions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from aws_cdk import CfnDeletionPolicy, Duration, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_stepfunctions as sfn
from aws_cdk import aws_stepfunctions_tasks as tasks
from constructs import Construct

from stacks.constructs.acknowledge import (
    NO_XRAY,
    SERVERLESS,
    SOLUTIONS,
    acknowledge,
    permit_double_dependency,
)
from stacks.constructs.alarm import Alarm, watch_metrics
from stacks.constructs.naming import generation_of
from stacks.constructs.platform import Platform
from stacks.constructs.python_function import PythonFunction
from stacks.constructs.releases import CANARY_MINUTES, CANARY_PERCENT, LIVE

_PASSING = [
    "Lambda.ServiceException",
    "Lambda.AWSLambdaException",
    "Lambda.SdkClientException",
    "Lambda.ClientExecutionTimeoutException",
    "Lambda.TooManyRequestsException",
    "Sandbox.Timedout",
    "Contention",
]
"""Transient errors: those of Lambda, and the kernel's error for contended items.
https://docs.aws.amazon.com/step-functions/latest/dg/bp-lambda-serviceexception.html"""


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
    """The metrics of failed executions of a kind, and the alarms on them."""

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
    # Nothing starts these again: each failed execution needs a person.
    Kind.STANDARD: _Failing(
        metrics=("ExecutionsFailed", "ExecutionsTimedOut", "ExecutionsAborted"),
        threshold=1,
        meaning="An execution of the workflow ended badly and waits to be redriven.",
        page="an-execution-waits-to-be-redriven",
    ),
}
"""https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/appinsights-metrics-step-functions.html"""


class Workflow(sfn.StateMachine):
    """A state machine, logged without its data, and with alarms.

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
        # The dashboard finds it by this name. A generated name would not contain the stage.
        name = f"orderflow-{platform.environment.name}-{Stack.of(scope).node.id}"
        log_group = logs.LogGroup(
            scope,
            f"{id_}Log",
            # Groups with this prefix need no resource policy of their own.
            log_group_name=f"/aws/vendedlogs/states/{name}-{generation_of(scope)}",
            retention=platform.environment.log_retention,
            removal_policy=platform.environment.removal_policy,
        )
        functions = _functions(start)
        role = _role(scope, f"{id_}Role", functions)
        super().__init__(
            scope,
            id_,
            # The library would add each function's versions and aliases as a wildcard.
            role=role.without_policy_updates(),
            # The name contains the kind, because a change of the kind replaces the state machine.
            state_machine_name=f"{name}-{kind.value.title()}",
            state_machine_type=kind,
            definition_body=sfn.DefinitionBody.from_chainable(start),
            timeout=timeout,
            logs=sfn.LogOptions(
                destination=log_group, level=sfn.LogLevel.ALL, include_execution_data=False
            ),
        )
        permit_double_dependency(self)
        acknowledge(
            self,
            {f"{SOLUTIONS}SF2": NO_XRAY, f"{SERVERLESS}StepFunctionStateMachineXray": NO_XRAY},
        )
        for function in functions:
            if function.live is not function:
                self.node.add_dependency(function.live)
        alarms = self._alarms(platform, kind)
        self.live_arn = self.state_machine_arn
        """What callers start: the alias of the newest version, or the state machine itself."""
        if platform.environment.shift != "in-place":
            self.live_arn = self._alias(platform, alarms).attr_arn

    def _alias(self, platform: Platform, alarms: Sequence[Alarm]) -> sfn.CfnStateMachineAlias:
        """Returns the alias of the newest version. CloudFormation shifts the executions to it.

        Each revision of the state machine replaces the version. Older versions are retained: their
        executions take weeks, and may be redriven afterwards. All at once, no alarm counts.
        https://docs.aws.amazon.com/step-functions/latest/dg/version-rolling-deployment.html
        """
        resource = cast(sfn.CfnStateMachine, self.node.default_child)
        version = sfn.CfnStateMachineVersion(
            self,
            "Version",
            state_machine_arn=self.state_machine_arn,
            state_machine_revision_id=resource.attr_state_machine_revision_id,
        )
        version.cfn_options.update_replace_policy = CfnDeletionPolicy.RETAIN
        version.cfn_options.deletion_policy = CfnDeletionPolicy.DELETE
        canary = platform.environment.shift == "gradual"
        return sfn.CfnStateMachineAlias(
            self,
            "Live",
            name=LIVE,
            deployment_preference=sfn.CfnStateMachineAlias.DeploymentPreferenceProperty(
                state_machine_version_arn=version.attr_arn,
                type="CANARY" if canary else "ALL_AT_ONCE",
                percentage=CANARY_PERCENT if canary else None,
                interval=CANARY_MINUTES if canary else None,
                alarms=[alarm.alarm_name for alarm in alarms] if canary else None,
            ),
        )

    def _alarms(self, platform: Platform, kind: Kind) -> list[Alarm]:
        failing = _FAILING[kind]
        return watch_metrics(
            self,
            {**dict.fromkeys(failing.metrics, failing.meaning), _THROTTLED: _WAITING},
            platform=platform,
            namespace="AWS/States",
            dimensions={"StateMachineArn": self.state_machine_arn},
            page=failing.page,
            threshold=failing.threshold,
        )


class Invoke(tasks.LambdaInvoke):
    """A task that passes the workflow's state to `function`, and leaves the state unchanged.

    Tasks store results in their own tables, so the state contains only the event.
    """

    def __init__(
        self, scope: Construct, id_: str, function: PythonFunction, **options: Any
    ) -> None:
        options.setdefault("result_path", sfn.JsonPath.DISCARD)
        options.setdefault("task_timeout", sfn.Timeout.duration(Duration.seconds(15)))
        super().__init__(
            scope,
            id_,
            lambda_function=lambda_.Function.from_function_arn(
                scope, f"{id_}Live", function.live_arn
            ),
            retry_on_service_exceptions=False,
            **options,
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
    """A task that passes the event and a task token to `function`, and waits for the answer.

    The answer comes by `SendTaskSuccess` with the token, and is stored at `result_path`. The task
    fails with States.HeartbeatTimeout if no heartbeat comes for `heartbeat`, and with
    States.Timeout after `patience`.
    https://docs.aws.amazon.com/step-functions/latest/dg/connect-to-resource.html#connect-wait-token
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        function: PythonFunction,
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


def _functions(start: sfn.State) -> list[PythonFunction]:
    """Returns the functions of all tasks that are reachable from `start`, each once."""
    functions: dict[str, PythonFunction] = {}
    for state in sfn.State.find_reachable_states(start, include_error_handlers=True):
        if isinstance(state, Invoke):
            functions[state.function.node.path] = state.function
        elif isinstance(state, sfn.TaskStateBase):
            raise TypeError(f"{state.node.path} must be an Invoke: its function is not known")
    return list(functions.values())


def _role(scope: Construct, id_: str, functions: Sequence[PythonFunction]) -> iam.Role:
    role = iam.Role(scope, id_, assumed_by=iam.ServicePrincipal("states.amazonaws.com"))
    for statement in _permissions(functions):
        role.add_to_policy(statement)
    acknowledge(
        role,
        {
            f"{SOLUTIONS}IAM5[Resource::*]": "The log delivery's actions cannot be limited to "
            "a resource; nothing else has a wildcard."
        },
    )
    return role


def _permissions(functions: Sequence[PythonFunction]) -> list[iam.PolicyStatement]:
    return [
        iam.PolicyStatement(
            actions=["lambda:InvokeFunction"],
            resources=[function.live_arn for function in functions],
        ),
        iam.PolicyStatement(actions=_LOG_DELIVERY, resources=["*"]),
    ]
