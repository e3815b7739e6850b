"""The vault: the table of personal data, which events only refer to."""

from collections import defaultdict
from typing import Any

from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from lambdas.eventing import vault
from lambdas.eventing.declaration import Handler, Use
from lambdas.eventing.personal import Personal
from lambdas.eventing.vault import VaultSettings
from stacks.environment import Environment

BACKUP_DAYS = 7
"""How long erased data stay in the continuous backup, in days. The default, 35, costs the same.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/PointInTimeRecovery_Howitworks.html"""


class Vault(Construct):
    """One table with the personal data of all contexts, by kind, person and purpose.

    It has no stream: nothing copies its items.
    """

    def __init__(self, scope: Construct, id_: str, *, environment: Environment) -> None:
        super().__init__(scope, id_)
        string = dynamodb.AttributeType.STRING
        self.table = dynamodb.TableV2(
            self,
            "Table",
            partition_key=dynamodb.Attribute(name="pk", type=string),
            sort_key=dynamodb.Attribute(name="sk", type=string),
            billing=dynamodb.Billing.on_demand(),
            time_to_live_attribute="expires_at",
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=True, recovery_period_in_days=BACKUP_DAYS
            ),
            deletion_protection=environment.keeps_data,
            removal_policy=environment.removal_policy,
        )
        self.settings = VaultSettings(vault_table_name=self.table.table_name)

    def admit(self, function: lambda_.IFunction, handler: Handler[Any]) -> None:
        """Grants `function` the operations that its handler declares, on each kind of data.

        A partition key begins with the kind, so a policy can name the kind:
        https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/specifying-conditions.html
        """
        by_kind = defaultdict[type[Personal], list[Use]](list)
        for use in sorted(handler.in_vault, key=lambda use: use.operation):
            if use.kind:
                by_kind[use.kind].append(use)
        for kind in sorted(by_kind, key=lambda kind: kind.__name__):
            iam.Grant.add_to_principal(
                grantee=function,
                actions=[f"dynamodb:{use.operation}" for use in by_kind[kind]],
                resource_arns=[self.table.table_arn],
                conditions={
                    "ForAllValues:StringLike": {"dynamodb:LeadingKeys": [vault.partitions(kind)]},
                    # Without it, a request that names no key would match, too.
                    "Null": {"dynamodb:LeadingKeys": "false"},
                },
            )
