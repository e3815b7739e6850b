"""The table of a context."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from lambdas.eventing.declaration import Handler, Use
from lambdas.eventing.settings import TableSettings
from stacks.constructs.platform import Platform


class ContextTable(Construct):
    """One table for a context's items and its inbox.

    Nobody may change or delete the items whose partition keys begin with `append_only`.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        platform: Platform,
        indexes: Sequence[dynamodb.GlobalSecondaryIndexPropsV2] = (),
        stream: dynamodb.StreamViewType | None = None,
        append_only: str | None = None,
    ) -> None:
        super().__init__(scope, id_)
        self._indexes = {index.index_name for index in indexes}
        environment = platform.environment
        self.table = dynamodb.TableV2(
            self,
            "Table",
            partition_key=dynamodb.Attribute(name="pk", type=dynamodb.AttributeType.STRING),
            sort_key=dynamodb.Attribute(name="sk", type=dynamodb.AttributeType.STRING),
            global_secondary_indexes=list(indexes) or None,
            billing=dynamodb.Billing.on_demand(),
            dynamo_stream=stream,
            resource_policy=_append_only(append_only) if append_only else None,
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

    def admit(self, function: lambda_.IFunction, handler: Handler[Any]) -> None:
        """Grants `function` the operations that its handler declares.

        Raises TypeError if the table lacks an index or an outbox that the handler declares to use.
        """
        if handler.publishes:
            raise TypeError(
                f"{handler.name} publishes events: {self.node.path} must be an OutboxTable"
            )
        self._grant(function, handler)

    def _grant(self, function: lambda_.IFunction, handler: Handler[Any]) -> None:
        by_index = defaultdict[str | None, list[Use]](list)
        for use in sorted(handler.granted, key=lambda use: use.index or ""):
            by_index[use.index].append(use)
        for index in sorted(by_index.keys() - self._indexes - {None}, key=str):
            raise TypeError(f"{handler.name} uses index {index}, which {self.node.path} lacks")
        for index, uses in by_index.items():
            # The library's own grant would add all indexes as a wildcard.
            iam.Grant.add_to_principal(
                grantee=function,
                actions=[f"dynamodb:{use.operation}" for use in uses],
                resource_arns=[self.table.table_arn + (f"/index/{index}" if index else "")],
            )


def _append_only(prefix: str) -> iam.PolicyDocument:
    """Denies everybody, administrators included, to change or delete items.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/specifying-conditions.html
    """
    return iam.PolicyDocument(
        statements=[
            iam.PolicyStatement(
                effect=iam.Effect.DENY,
                principals=[iam.AnyPrincipal()],
                actions=[
                    "dynamodb:DeleteItem",
                    "dynamodb:PartiQLDelete",
                    "dynamodb:PartiQLUpdate",
                    "dynamodb:UpdateItem",
                ],
                resources=["*"],
                conditions={"ForAnyValue:StringLike": {"dynamodb:LeadingKeys": f"{prefix}*"}},
            )
        ]
    )
