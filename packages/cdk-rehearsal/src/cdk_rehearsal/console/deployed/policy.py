"""The permissions that the console of a deployed application needs, as policies of IAM."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

READING: Mapping[str, str] = {
    "cloudformation:ListStackResources": "finds the resources of the templates",
    "sqs:GetQueueAttributes": "reads the depths of queues",
    "cloudwatch:DescribeAlarms": "reads the states of alarms",
    "cloudwatch:GetMetricData": "reads ages of messages and counts of topics",
    "logs:FilterLogEvents": "reads invocations, events, requests and executions",
    "lambda:ListEventSourceMappings": "reads whether functions read their queues and streams",
    "lambda:GetFunctionConcurrency": "reads how many invocations of a function may run at once",
    "states:ListExecutions": "lists the executions of a workflow",
    "states:GetExecutionHistory": "finds the step at which an execution failed",
    "states:DescribeExecution": "reads the input of an execution, which may have personal data",
}
"""What reads need, each with its purpose. `sts:GetCallerIdentity` needs no permission."""

_REDRIVING = (
    *("sqs:StartMessageMoveTask", "sqs:ListMessageMoveTasks", "sqs:ReceiveMessage"),
    *("sqs:DeleteMessage", "sqs:SendMessage", "sqs:ChangeMessageVisibility"),
)
"""What a redrive, a look at messages and their deletion need.
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-configure-dead-letter-queue-redrive.html
"""

_REPLAYING = (
    *("events:DescribeEventBus", "events:DescribeSubscriber", "events:ListSubscribers"),
    *("events:CreateSubscriber", "events:DeleteSubscriber", "cloudwatch:GetMetricStatistics"),
)
"""What a second delivery by a temporary subscriber of a Custom Event Bus needs."""

_KEYS = ("kms:Decrypt", "kms:GenerateDataKey")
"""What the redrive of an encrypted queue needs.
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-key-management.html"""


def policy(*, operates: bool) -> dict[str, Any]:
    """Returns the policy for a caller who only reads, or who also operates."""
    statements = [_allowed("Read", [*READING])]
    if operates:
        through_sqs = {"StringLike": {"kms:ViaService": "sqs.*.amazonaws.com"}}
        to_the_bus = {"StringEquals": {"iam:PassedToService": "events.amazonaws.com"}}
        statements += [
            _allowed("Redrive", [*_REDRIVING]),
            _allowed("RedriveEncrypted", [*_KEYS], through_sqs),
            _allowed("DeliverAgain", [*_REPLAYING]),
            _allowed("DeliverAgainAsTheBus", ["iam:PassRole"], to_the_bus),
        ]
    return {"Version": "2012-10-17", "Statement": statements}


def _allowed(sid: str, actions: list[str], condition: Any = None) -> dict[str, Any]:
    conditions = {"Condition": condition} if condition else {}
    return {"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": "*", **conditions}
