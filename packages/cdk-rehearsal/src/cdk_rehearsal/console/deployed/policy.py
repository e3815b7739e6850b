"""The permissions that the console of a deployed application needs, as policies of IAM.

Each action is limited to the resources of the stage's account and Region that it is about, where
AWS supports that.
https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cdk_rehearsal.assembly import Assembly

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

_SUBSCRIBER = "events:{region}:{account}:subscriber/*"
_BUS = "events:{region}:{account}:event-busv2/*"
_RESOURCES: Mapping[str, Iterable[str]] = {
    "cloudformation:": ["cloudformation:{region}:{account}:stack/{stack}/*"],
    "events:DescribeEventBus": [_BUS],
    "events:CreateSubscriber": [_BUS, _SUBSCRIBER],
    "events:DescribeSubscriber": [_SUBSCRIBER],
    "events:DeleteSubscriber": [_SUBSCRIBER],
    "iam:": ["iam::{account}:role/*"],
    "kms:": ["kms:{region}:{account}:key/*"],
    "lambda:GetFunctionConcurrency": ["lambda:{region}:{account}:function:*"],
    "logs:": ["logs:{region}:{account}:log-group:*"],
    "sqs:": ["sqs:{region}:{account}:*"],
    "states:ListExecutions": ["states:{region}:{account}:stateMachine:*"],
    "states:": ["states:{region}:{account}:execution:*"],
}
"""The resources of actions, or of all actions of a service, without the partition.

The other actions have none, and `cloudwatch:DescribeAlarms` shows composite alarms only to callers
who may see all alarms:
https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_DescribeAlarms.html
"""


@dataclass(frozen=True)
class Scope:
    """Where a stage is. What its templates do not say is not limited."""

    stacks: tuple[str, ...]
    account: str = "*"
    region: str = "*"

    @classmethod
    def of(cls, assembly: Assembly) -> Scope:
        """Returns the scope of the stacks of an application."""
        names = [each.name for each in assembly.stacks if not each.parent]
        # Names of nested stacks begin with that of their parent.
        nested = any(each.parent for each in assembly.stacks)
        accounts = {each.account or "*" for each in assembly.stacks}
        regions = {each.region or "*" for each in assembly.stacks}
        return cls(
            # A nested stack has a name that begins with that of its parent.
            (*names, *(f"{name}-*" for name in names if nested)),
            accounts.pop() if len(accounts) == 1 else "*",
            regions.pop() if len(regions) == 1 else "*",
        )

    def resources(self, action: str) -> tuple[str, ...]:
        """Returns patterns of the ARNs on which an action is needed."""
        found = _RESOURCES.get(action) or _RESOURCES.get(f"{action.partition(':')[0]}:")
        if found is None:
            return ("*",)
        partition = next(
            (name for begin, name in _PARTITIONS if self.region.startswith(begin)), "aws"
        )
        named = {"account": self.account, "region": self.region}
        arns = (
            f"arn:{partition}:{pattern.format(stack=stack, **named)}"
            for pattern in found
            for stack in (self.stacks if "{stack}" in pattern else ("",))
        )
        return tuple(arns)


_PARTITIONS = (("cn-", "aws-cn"), ("us-gov-", "aws-us-gov"))
"""Beginnings of Regions, and their partitions."""


def policy(scope: Scope, *, operates: bool) -> dict[str, Any]:
    """Returns the policy for a caller who only reads, or who also operates."""
    statements = [*_allowed("Read", scope, READING)]
    if operates:
        through_sqs = {"StringLike": {"kms:ViaService": "sqs.*.amazonaws.com"}}
        to_the_bus = {"StringEquals": {"iam:PassedToService": "events.amazonaws.com"}}
        statements += [
            *_allowed("Redrive", scope, _REDRIVING),
            *_allowed("RedriveEncrypted", scope, _KEYS, through_sqs),
            *_allowed("DeliverAgain", scope, _REPLAYING),
            *_allowed("DeliverAgainAsTheBus", scope, ["iam:PassRole"], to_the_bus),
        ]
    return {"Version": "2012-10-17", "Statement": statements}


def _allowed(
    sid: str, scope: Scope, actions: Iterable[str], condition: Any = None
) -> Iterator[dict[str, Any]]:
    """Yields a statement for all actions on the same resources."""
    together: dict[tuple[str, ...], list[str]] = {}
    for action in actions:
        together.setdefault(scope.resources(action), []).append(action)
    conditions = {"Condition": condition} if condition else {}
    for number, (resources, named) in enumerate(together.items(), 1):
        yield {
            "Sid": f"{sid}{number if len(together) > 1 else ''}",
            "Effect": "Allow",
            "Action": named,
            "Resource": [*resources],
            **conditions,
        }
