"""All creators: importing the module of a service registers them."""

from importlib import import_module

from cdk_rehearsal.assembly import Assembly, Resource
from cdk_rehearsal.deployment import Deployment
from cdk_rehearsal.properties import Properties
from cdk_rehearsal.resources.custom import custom_creator, is_provider
from cdk_rehearsal.resources.registry import CREATORS, Creator

__all__ = ["CREATORS", "creator_of"]

for _service in (
    *("apigateway", "apigatewayv2", "cloudwatch", "codedeploy", "cognito", "dynamodb", "events"),
    *("eventsv2", "iam"),
    *("kinesis", "kms", "lambda_", "logs", "pipes", "s3", "scheduler", "secretsmanager", "ses"),
    *("sns", "sqs", "ssm"),
    "stepfunctions",
):
    import_module(f"cdk_rehearsal.resources.{_service}")


def _create_provider(deployment: Deployment, resource: Resource, properties: Properties) -> None:
    """Gives a function that is not needed a name."""
    properties.ignore(*properties.values)
    core = deployment.core
    arn = f"arn:aws:lambda:{core.region}:{core.account}:function:{resource.physical_id}"
    resource.attributes = {"Arn": arn}
    deployment.provider_roles[arn] = properties.require("Role")


def creator_of(resource: Resource, assembly: Assembly) -> Creator | None:
    """Returns the function that creates a resource, or None.

    The functions behind the custom resources of the CDK library are not needed: what they do is
    done directly.
    """
    if is_provider(resource, assembly):
        return _create_provider
    return custom_creator(resource, assembly) or CREATORS.get(resource.type)
