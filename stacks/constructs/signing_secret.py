"""A secret for signing requests."""

from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from stacks.constructs.acknowledge import SOLUTIONS, acknowledge
from stacks.constructs.platform import Platform


class SigningSecret(secretsmanager.Secret):
    """A generated key. It does not rotate automatically, for the reason `why_it_stays`."""

    def __init__(
        self, scope: Construct, id_: str, *, platform: Platform, description: str, why_it_stays: str
    ) -> None:
        super().__init__(
            scope,
            id_,
            description=description,
            generate_secret_string=secretsmanager.SecretStringGenerator(
                password_length=64, exclude_punctuation=True
            ),
            removal_policy=platform.environment.removal_policy,
        )
        acknowledge(self, {f"{SOLUTIONS}SMG4": why_it_stays})

    def allow(self, function: lambda_.Function) -> None:
        """Grants `function` reading the key."""
        function.add_to_role_policy(
            iam.PolicyStatement(
                actions=["secretsmanager:GetSecretValue"], resources=[self.secret_arn]
            )
        )
