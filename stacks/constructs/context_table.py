"""The table of a context."""

from collections.abc import Sequence

from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from lambdas.eventing.settings import TableSettings
from stacks.constructs.platform import Platform


class ContextTable(Construct):
    """One table for all that a context keeps: its own items and its inbox."""

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        platform: Platform,
        indexes: Sequence[dynamodb.GlobalSecondaryIndexPropsV2] = (),
        stream: dynamodb.StreamViewType | None = None,
    ) -> None:
        super().__init__(scope, id_)
        environment = platform.environment
        self.table = dynamodb.TableV2(
            self,
            "Table",
            partition_key=dynamodb.Attribute(name="pk", type=dynamodb.AttributeType.STRING),
            sort_key=dynamodb.Attribute(name="sk", type=dynamodb.AttributeType.STRING),
            global_secondary_indexes=list(indexes) or None,
            billing=dynamodb.Billing.on_demand(),
            dynamo_stream=stream,
            time_to_live_attribute="expires_at",
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=True
            ),
            deletion_protection=environment.keeps_data,
            removal_policy=environment.removal_policy,
        )
        self.settings = TableSettings(
            table_name=self.table.table_name, inbox_days=environment.inbox_days
        )

    def allow(self, function: lambda_.IFunction, *operations: str) -> None:
        """Lets `function` use the table by these operations of DynamoDB, and no other."""
        grant(function, operations, self.table.table_arn)


def grant(function: lambda_.IFunction, operations: Sequence[str], arn: str) -> None:
    """Grants on one resource: the library's own grant adds each index of a table as a wildcard."""
    iam.Grant.add_to_principal(
        grantee=function,
        actions=[f"dynamodb:{operation}" for operation in operations],
        resource_arns=[arn],
    )
