"""Queues, topics, buses, streams and functions that a template names by ARN and does not define."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from cdk_rehearsal.assembly import Resource
from cdk_rehearsal.deployment import Deployment
from cdk_rehearsal.errors import RehearsalError

_KINDS: Mapping[str, tuple[str, str]] = {
    "events": ("AWS::Events::EventBus", "Name"),
    "kinesis": ("AWS::Kinesis::Stream", "Name"),
    "lambda": ("AWS::Lambda::Function", "FunctionName"),
    "sns": ("AWS::SNS::Topic", "TopicName"),
    "sqs": ("AWS::SQS::Queue", "QueueName"),
}
"""The type of a resource, and the property with its name, by the service in its ARN."""

_NAMING: Mapping[str, tuple[str, ...]] = {
    "AWS::ApiGateway::Authorizer": ("AuthorizerUri",),
    "AWS::ApiGateway::Method": ("Integration",),
    "AWS::ApiGateway::RestApi": ("Body",),
    "AWS::ApiGatewayV2::Api": ("Body",),
    "AWS::ApiGatewayV2::Authorizer": ("AuthorizerUri",),
    "AWS::ApiGatewayV2::Integration": ("IntegrationUri",),
    "AWS::Events::Rule": ("EventBusName", "Targets"),
    "AWS::EventsV2::Subscriber": ("InvokeConfiguration", "OnFailureConfiguration"),
    "AWS::Lambda::EventInvokeConfig": ("DestinationConfig",),
    "AWS::Lambda::EventSourceMapping": ("EventSourceArn", "FunctionName", "DestinationConfig"),
    "AWS::Lambda::Function": ("DeadLetterConfig",),
    "AWS::Lambda::Url": ("TargetFunctionArn",),
    "AWS::Pipes::Pipe": ("Source", "Target", "Enrichment"),
    "AWS::S3::Bucket": ("NotificationConfiguration",),
    "AWS::SNS::Subscription": ("TopicArn", "Endpoint", "RedrivePolicy"),
    "AWS::SQS::Queue": ("RedrivePolicy",),
    "AWS::Scheduler::Schedule": ("Target",),
    "Custom::S3BucketNotifications": ("NotificationConfiguration",),
}
"""The properties that name sources and targets, by the type that has them."""

_PREFIXES = {"events": "event-bus/", "kinesis": "stream/", "lambda": "function:"}
_ARN = re.compile(
    "|".join(
        rf"arn:aws:{service}:[\w-]+:\d+:{_PREFIXES.get(service, '')}[\w.-]+(?![\w.*-])"
        for service in _KINDS
    )
)
_CONTENTS = {"Input", "InputTransformer", "InputPath", "RequestTemplates", "IntegrationResponses"}


class Outside:
    """Finds such names, and creates stand-ins for what they name."""

    def __init__(self, deployment: Deployment, create: Callable[[Resource], None]) -> None:
        """``create`` creates a resource that no stack has."""
        self._deployment = deployment
        self._create = create

    def missing(self, resource: Resource) -> Iterator[str]:
        """Yields the ARNs that a resource names as source or target, and that do not exist."""
        for name in _NAMING.get(resource.type, ()):
            value = resource.properties.get(name)
            if name == "EventBusName" and isinstance(value, str) and ":" not in value:
                core = self._deployment.core
                value = f"arn:aws:events:{core.region}:{core.account}:event-bus/{value}"
            for text in _texts(value):
                # In an API's integration the ARN is a part of a path.
                for arn in _ARN.findall(text):
                    if not self._exists(arn):
                        yield arn

    def kind(self, arn: str) -> tuple[str, str]:
        """Returns the type of what an ARN names, and the property with its name."""
        return _KINDS[arn.split(":")[2]]

    def name(self, arn: str) -> str:
        """Returns the name in an ARN."""
        return re.split("[:/]", arn)[-1]

    def stand_in(self, arn: str) -> None:
        """Creates a stand-in. Raises RehearsalError if there is to be none.

        It is open to services, which its owner has to admit; roles need permissions of their own.
        """
        deployment, core = self._deployment, self._deployment.core
        stand_ins = deployment.stand_ins
        if not (stand_ins.gives(arn) or stand_ins.invents):
            raise RehearsalError(
                f"{arn} is not in the assembly: give a stand-in for it in stubs[{arn!r}], a Python "
                "callable for a function, or None for a new and empty one"
            )
        _, _, service, region, account, _ = arn.split(":", 5)
        if (region, account) != (core.region, core.account):
            raise RehearsalError(
                f"{arn} is in another account or region: the rehearsal runs in {core.account} and "
                f"{core.region}"
            )
        type_, property_ = self.kind(arn)
        name = self.name(arn)
        properties: dict[str, Any] = {property_: name}
        if type_ == "AWS::Kinesis::Stream":
            properties["ShardCount"] = 1
        if type_ == "AWS::Lambda::Function":
            properties["Role"] = self._role()
        if name.endswith(".fifo"):
            properties["FifoQueue" if service == "sqs" else "FifoTopic"] = True
        self._create(Resource("outside", arn, arn, type_, properties, {}, "outside"))
        self._open(service, arn)
        if service != "lambda":
            stand_ins.note(arn, f"a new {type_}")

    def _role(self) -> str:
        """The ARN of a role that all functions outside share; it permits everything."""
        client = self._deployment.client("iam")
        name = "outside-the-assembly"
        try:
            role: str = client.get_role(RoleName=name)["Role"]["Arn"]
        except client.exceptions.NoSuchEntityException:
            trust = {"Effect": "Allow", "Principal": "*", "Action": "sts:AssumeRole"}
            role = client.create_role(RoleName=name, AssumeRolePolicyDocument=_policy(trust))[
                "Role"
            ]["Arn"]
            everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
            client.put_role_policy(
                RoleName=name, PolicyName="everything", PolicyDocument=_policy(everything)
            )
        return role

    def _exists(self, arn: str) -> bool:
        deployment, service = self._deployment, arn.split(":")[2]
        if service == "lambda":
            return arn in deployment.lambdas.functions
        if service == "sqs":
            return arn in deployment.queues
        if service == "sns":
            return arn in deployment.topics
        if service == "kinesis":
            return arn in deployment.streams
        return arn in deployment.bus

    def _open(self, service: str, arn: str) -> None:
        deployment = self._deployment
        statement = {
            "Sid": "services",
            "Effect": "Allow",
            "Principal": "*",
            "Action": "*",
            "Resource": arn,
            "Condition": {"Bool": {"aws:PrincipalIsAWSService": "true"}},
        }
        policy = _policy(statement)
        if service == "lambda":
            deployment.lambdas.function(arn).policy["Statement"].append(statement)
        elif service == "sqs":
            url = deployment.client("sqs").get_queue_url(QueueName=self.name(arn))["QueueUrl"]
            deployment.client("sqs").set_queue_attributes(
                QueueUrl=url, Attributes={"Policy": policy}
            )
        elif service == "sns":
            deployment.client("sns").set_topic_attributes(
                TopicArn=arn, AttributeName="Policy", AttributeValue=policy
            )
        elif service == "events":
            deployment.client("events").put_permission(EventBusName=self.name(arn), Policy=policy)


def _policy(statement: Mapping[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for each in value:
            yield from _texts(each)
    elif isinstance(value, Mapping):
        for name, each in value.items():
            if name not in _CONTENTS:
                yield from _texts(each)
    elif isinstance(value, str):
        yield value
