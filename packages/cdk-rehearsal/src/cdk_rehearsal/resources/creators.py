"""All creators: importing the module of a service registers them."""

from importlib import import_module

from cdk_rehearsal.resources.registry import CREATORS

__all__ = ["CREATORS"]

for _service in (
    *("apigatewayv2", "cloudwatch", "cognito", "dynamodb", "events", "iam", "kinesis", "kms"),
    *("lambda_", "logs", "s3", "scheduler", "secretsmanager", "ses", "sns", "sqs", "ssm"),
    "stepfunctions",
):
    import_module(f"cdk_rehearsal.resources.{_service}")
