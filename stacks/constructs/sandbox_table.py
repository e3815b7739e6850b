"""The book of a sandbox: a table that stands for the system of somebody outside."""

from aws_cdk import aws_dynamodb as dynamodb
from constructs import Construct

from stacks.constructs.platform import Platform


class SandboxTable(dynamodb.TableV2):
    """What a sandbox remembers, by idempotency key; no part of the context that asks it."""

    def __init__(self, scope: Construct, id_: str, *, platform: Platform) -> None:
        super().__init__(
            scope,
            id_,
            partition_key=dynamodb.Attribute(name="pk", type=dynamodb.AttributeType.STRING),
            billing=dynamodb.Billing.on_demand(),
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=True
            ),
            deletion_protection=platform.environment.keeps_data,
            removal_policy=platform.environment.removal_policy,
        )
