"""All creators: importing the module of a service registers them."""

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
from cdk_rehearsal.resources.registry import CREATORS

__all__ = [
    "CREATORS",
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
