"""The table of a sandbox, in place of a partner's system."""

from aws_cdk import aws_dynamodb as dynamodb
from constructs import Construct

from stacks.constructs.platform import Platform


class SandboxTable(dynamodb.TableV2):
    """The requests that a sandbox received, by idempotency key; not a table of the context."""

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
