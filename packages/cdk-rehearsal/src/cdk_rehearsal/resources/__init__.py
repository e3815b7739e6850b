"""Creates the resources of a template: one module for each service."""

from cdk_rehearsal.resources import (
    apigatewayv2,
    cognito,
    dynamodb,
    events,
    iam,
    kinesis,
    lambda_,
    logs,
    s3,
    scheduler,
    secretsmanager,
    ses,
    sns,
    sqs,
    stepfunctions,
)
from cdk_rehearsal.resources.registry import CREATORS, WITHOUT_PART, Resource

__all__ = [
    "CREATORS",
    "WITHOUT_PART",
    "Resource",
    "apigatewayv2",
    "cognito",
    "dynamodb",
    "events",
    "iam",
    "kinesis",
    "lambda_",
    "logs",
    "s3",
    "scheduler",
    "secretsmanager",
    "ses",
    "sns",
    "sqs",
    "stepfunctions",
]
