"""Releases: new versions of functions get a share of the traffic first, watched by alarms."""

from collections.abc import Sequence

from aws_cdk import Stack
from aws_cdk import aws_codedeploy as codedeploy
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk.aws_cloudwatch import IAlarm
from constructs import Construct

from stacks.constructs.acknowledge import SOLUTIONS, acknowledge
from stacks.constructs.platform import Platform

LIVE = "live"
"""The name of the alias that all callers use."""

CANARY_PERCENT, CANARY_MINUTES = 10, 10
"""The share of the traffic that a new version gets first, and for how long.

Twice as long as the period of the alarms, so that they fire before the rest of the traffic follows.
"""

_CANARY = codedeploy.LambdaDeploymentConfig.CANARY_10_PERCENT_10_MINUTES
"""The same as a configuration that CodeDeploy has, so it is no resource of a stack.
https://docs.aws.amazon.com/codedeploy/latest/userguide/deployment-configurations.html"""


class Releases(Construct):
    """The CodeDeploy application of a stack, and its role."""

    def __init__(self, scope: Construct, id_: str, *, platform: Platform) -> None:
        super().__init__(scope, id_)
        self._gradual = platform.environment.shift == "gradual"
        self._application = codedeploy.LambdaApplication(self, "Application")
        self._role = iam.Role(
            self, "Role", assumed_by=iam.ServicePrincipal("codedeploy.amazonaws.com")
        )
        # CodeDeploy's managed policy has no resource for this action, either.
        # https://docs.aws.amazon.com/aws-managed-policy/latest/reference/AWSCodeDeployRoleForLambdaLimited.html
        self._role.add_to_policy(
            iam.PolicyStatement(actions=["cloudwatch:DescribeAlarms"], resources=["*"])
        )
        acknowledge(
            self._role,
            {
                f"{SOLUTIONS}IAM5[Resource::*]": "CodeDeploy reads the states of alarms, as in "
                "AWS's own policy for it; nothing else has a wildcard."
            },
        )

    @classmethod
    def of(cls, scope: Construct, *, platform: Platform) -> "Releases":
        """Returns the releases of a construct's stack."""
        stack = Stack.of(scope)
        existing = stack.node.try_find_child("Releases")
        return existing if isinstance(existing, cls) else cls(stack, "Releases", platform=platform)

    def alias(self, function: lambda_.Function, *, alarms: Sequence[IAlarm]) -> lambda_.Alias:
        """Returns the alias of a function's newest version; CodeDeploy moves it.

        If an alarm fires meanwhile, CodeDeploy moves it back, and CloudFormation rolls the stack
        back. All at once, no alarm counts: one that fires already would stop its correction.
        https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-attribute-updatepolicy.html
        """
        alias = lambda_.Alias(function, "Live", alias_name=LIVE, version=function.current_version)
        codedeploy.LambdaDeploymentGroup(
            function,
            "Release",
            application=self._application,
            alias=alias,
            deployment_config=_CANARY
            if self._gradual
            else codedeploy.LambdaDeploymentConfig.ALL_AT_ONCE,
            alarms=[*alarms] if self._gradual else [],
            auto_rollback=codedeploy.AutoRollbackConfig(
                failed_deployment=True, stopped_deployment=True, deployment_in_alarm=self._gradual
            ),
            # The library would attach a policy of AWS for all functions of the account.
            role=self._role.without_policy_updates(),
        )
        self._role.add_to_policy(
            iam.PolicyStatement(
                actions=["lambda:GetAlias", "lambda:UpdateAlias"],
                resources=[function.function_arn],
            )
        )
        self._role.add_to_policy(
            iam.PolicyStatement(
                actions=["lambda:GetProvisionedConcurrencyConfig"],
                resources=[f"{function.function_arn}:{LIVE}"],
            )
        )
        return alias
