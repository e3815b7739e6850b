"""A Lambda function made from its handler object: path, package and grants cannot drift."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from aws_cdk import Duration, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk.aws_cloudwatch import IAlarm
from constructs import Construct

from lambdas.eventing.declaration import Handler
from lambdas.eventing.settings import Settings
from stacks.constructs.acknowledge import (
    NO_XRAY,
    SERVERLESS,
    acknowledge,
    permit_double_dependency,
)
from stacks.constructs.alarm import Alarm
from stacks.constructs.context_table import ContextTable
from stacks.constructs.metric import namespace
from stacks.constructs.packaging import PYTHON_VERSION, function_directory, layer_directory
from stacks.constructs.platform import Platform
from stacks.constructs.releases import LIVE, Releases

WAITING_MB = 256
"""The memory of a function that mostly waits for a workflow or a partner.

It is billed for the time that it waits, and needs little of a processor, which comes with memory.
https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html
"""


class PythonFunction(lambda_.Function):
    """The function of one handler module, with its own role, log group and alarms.

    It may use `table` as its handler declares. The alarm on its errors, and those in `signals`, end
    the release of a new version. Raises TypeError if there is no table to use.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        platform: Platform,
        handler: Callable[..., Any],
        table: ContextTable | None = None,
        settings: Settings | None = None,
        environment: Mapping[str, str] | None = None,
        timeout: Duration | None = None,
        memory_mb: int = 512,
        signals: Sequence[IAlarm] = (),
    ) -> None:
        module = handler.__module__
        context = module.split(".")[1]
        log_group = logs.LogGroup(
            scope,
            f"{id_}Log",
            retention=platform.environment.log_retention,
            removal_policy=platform.environment.removal_policy,
        )
        role = iam.Role(
            scope, f"{id_}Role", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com")
        )
        log_group.grant_write(role)
        super().__init__(
            scope,
            id_,
            description=(handler.__doc__ or "").partition("\n")[0],
            code=lambda_.Code.from_asset(str(function_directory(context, platform.target))),
            handler=f"{module}.handler",
            runtime=_RUNTIME,
            architecture=lambda_.Architecture.ARM_64,
            layers=[_layer(scope, platform)],
            role=role,
            log_group=log_group,
            logging_format=lambda_.LoggingFormat.JSON,
            # Handlers record what they do: docs/decisions/0077-spans-are-lines-of-the-log.md
            system_log_level_v2=lambda_.SystemLogLevel.WARN,
            timeout=timeout or Duration.seconds(10),
            memory_size=memory_mb,
            environment={
                "POWERTOOLS_SERVICE_NAME": Stack.of(scope).node.id.lower(),
                "POWERTOOLS_METRICS_NAMESPACE": namespace(platform),
                **(settings.as_environment() if settings else {}),
                **_vault_environment(platform, handler),
                **(environment or {}),
            },
        )
        self.entry = handler
        permit_double_dependency(self)
        acknowledge(
            self,
            {
                f"{SERVERLESS}LambdaDLQ": "Takes effect for asynchronous invocations only. This "
                "function is called by a route, a workflow or an event source mapping, which wait "
                "for its answer and have their own way of handling failures.",
                f"{SERVERLESS}LambdaTracing": NO_XRAY,
            },
        )
        if isinstance(handler, Handler):
            self._admit(handler, table)
            platform.vault.admit(self, handler)
        errors = self._alarms(platform, module)
        self.live: lambda_.IFunction = self
        """What callers invoke: the alias of the newest version, or the function itself."""
        if platform.environment.shift != "in-place":
            self.live = Releases.of(self, platform=platform).alias(self, alarms=[errors, *signals])

    def _admit(self, handler: Handler[Any], table: ContextTable | None) -> None:
        if table:
            table.admit(self, handler)
        elif handler.granted:
            raise TypeError(f"{handler.name} uses a table: {self.node.path} needs table=…")

    @property
    def live_arn(self) -> str:
        """The ARN that callers invoke, also from other stacks.

        It does not refer to the alias. An export of the alias would take the place of that of the
        function, which CloudFormation does not delete while another stack imports it.
        https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-cfn-stack-exports.html
        """
        return self.function_arn if self.live is self else f"{self.function_arn}:{LIVE}"

    def listen(self, source: lambda_.IEventSource) -> None:
        """Adds an event source that invokes the live version.

        The mapping stays the function's own resource. A new one for the alias would read a stream
        from its start when a stage begins to have aliases.
        """
        self.add_event_source(source)
        if self.live is not self:
            for child in self.node.find_all():
                if isinstance(child, lambda_.CfnEventSourceMapping):
                    child.function_name = self.live.function_arn

    def _alarms(self, platform: Platform, module: str) -> Alarm:
        errors = Alarm(
            self,
            "Errors",
            platform=platform,
            metric=self.metric_errors(period=Duration.minutes(5), statistic="Sum"),
            threshold=5,
            meaning=f"{module} keeps raising errors.",
            page="function-errors",
        )
        Alarm(
            self,
            "Throttles",
            platform=platform,
            metric=self.metric_throttles(period=Duration.minutes(5), statistic="Sum"),
            threshold=5,
            periods=3,
            meaning=f"{module} is invoked more often than its concurrency allows.",
            page="function-throttles",
        )
        return errors


_RUNTIME = lambda_.Runtime(
    f"python{PYTHON_VERSION}", lambda_.RuntimeFamily.PYTHON, supports_inline_code=True
)


def _vault_environment(platform: Platform, handler: Callable[..., Any]) -> dict[str, str]:
    uses_it = isinstance(handler, Handler) and handler.in_vault
    return platform.vault.settings.as_environment() if uses_it else {}


def _layer(scope: Construct, platform: Platform) -> lambda_.ILayerVersion:
    """Returns the stack's layer of dependencies.

    Each stack has its own: a layer version that another stack imports could not be replaced.
    """
    stack = Stack.of(scope)
    existing = stack.node.try_find_child("Dependencies")
    if isinstance(existing, lambda_.LayerVersion):
        return existing
    return lambda_.LayerVersion(
        stack,
        "Dependencies",
        description="What the handlers import, pruned and precompiled",
        code=lambda_.Code.from_asset(str(layer_directory(platform.target))),
        compatible_runtimes=[_RUNTIME],
        compatible_architectures=[lambda_.Architecture.ARM_64],
    )
