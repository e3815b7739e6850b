"""Messages that leave what the templates say: nothing receives them, or their sender is unknown.

The templates of an application rarely name a receiver of a queue that a server polls, or a sender
in another account. Policies do: of roles, functions, queues and topics.
"""

import re
from collections.abc import Iterator, Mapping

from cdk_rehearsal.assembly import Assembly, Resource, listed, nodes, texts
from cdk_rehearsal.topology.messaging import edges, parked_by_code, subscriptions
from cdk_rehearsal.topology.routes import BUS_OF, BUSES
from cdk_rehearsal.topology.statements import (
    allows,
    is_general,
    resources_of,
    role_of,
    role_statements,
    services_of,
)
from cdk_rehearsal.topology.values import statements_in, text

BlindSpot = tuple[Resource, str]
"""A resource, and what about it is not understood."""

_READ_BY = {
    "AWS::DynamoDB::Table": "dynamodb:GetRecords",
    "AWS::Kinesis::Stream": "kinesis:GetRecords",
    "AWS::SQS::Queue": "sqs:ReceiveMessage",
}
"""The action that receives what a resource holds."""

_READERS = (
    "AWS::Kinesis::StreamConsumer",
    "AWS::KinesisFirehose::DeliveryStream",
    "AWS::Lambda::EventSourceMapping",
    "AWS::Pipes::Pipe",
)
"""Types that receive from the resource that they name."""

_PARKS = frozenset({"DeadLetterConfig", "OnFailure", "RedrivePolicy"})
"""Properties that name a dead-letter queue: operators receive its messages."""

_SENDS = (
    *("events:PutEvents", "firehose:PutRecord", "firehose:PutRecordBatch", "iot:Publish"),
    *("kinesis:PutRecord", "kinesis:PutRecords", "sns:Publish", "sqs:SendMessage"),
    *("lambda:InvokeFunction", "states:StartExecution"),
)
"""Actions that send a message, or start something, for which the caller does not have to wait."""

_ACTING = frozenset(
    f"{name}.amazonaws.com"
    for name in (
        *("apigateway", "application-autoscaling", "appsync", "autoscaling", "cloudformation"),
        *(
            "codedeploy",
            "cognito-idp",
            "dlm",
            "ec2",
            "ecs",
            "ecs-tasks",
            "edgelambda",
            "es",
            "events",
        ),
        *("export.rds", "firehose", "lambda", "logs", "monitoring.rds", "opensearchservice"),
        *("pipes", "rds", "s3", "sagemaker", "scheduler", "ssm", "states", "vpc-flow-logs"),
    )
)
"""Services that act with roles, and deliver nothing with them but what other resources state."""

_CALLING = frozenset(
    f"{name}.amazonaws.com"
    for name in (
        *("apigateway", "budgets", "cloudformation", "cloudwatch", "cognito-idp"),
        "elasticloadbalancing",
        *("events", "lambda", "lambda.alarms.cloudwatch", "logs", "pipes", "s3", "scheduler"),
        *("secretsmanager", "sns", "sqs", "states", "edgelambda", "delivery.logs", "iot"),
    )
)
"""Services that call functions, or send to queues and topics, as other resources state."""

_SERVICE = re.compile(r"[a-z0-9.-]+\.amazonaws\.com(\.cn)?")


def dead_ends(assembly: Assembly) -> Iterator[BlindSpot]:
    """Yields where messages go that nothing in the templates receives."""
    yield from _unread(assembly)
    yield from _untargeted(assembly)
    yield from _outside(assembly)


def background(assembly: Assembly) -> Iterator[BlindSpot]:
    """Yields functions and services that may deliver without any other resource that says so."""
    yield from _invoking(assembly)
    yield from _acting(assembly)
    yield from _calling(assembly)


def _unread(assembly: Assembly) -> Iterator[BlindSpot]:
    """Queues, streams, topics and buses with nothing behind them."""
    parked: set[str | None] = {
        found.path
        for resource in assembly.resources
        for node in nodes(resource.properties)
        if isinstance(node, Mapping)
        for name in _PARKS & node.keys()
        for found in assembly.references(resource.stack, node[name])
    }
    parked |= {edge.parking for edge in edges(assembly)}
    parked |= parked_by_code(assembly)
    received = {
        found.path
        for reader in assembly.all_of(*_READERS)
        for found in assembly.references(reader.stack, reader.properties)
    }
    for resource in assembly.all_of(*_READ_BY):
        streams = "StreamSpecification" in resource.properties
        if resource.type == "AWS::DynamoDB::Table" and not streams:
            continue
        if resource.path not in received | parked and not _is_received(assembly, resource):
            what = "its stream" if streams else "it"
            yield resource, f"nothing in the templates receives from {what}"
    heard = {
        found.path
        for stated_in, topic, _ in subscriptions(assembly)
        for found in assembly.references(stated_in.stack, topic)
    } | {
        found.path
        for alarm in assembly.all_of("AWS::CloudWatch::Alarm", "AWS::CloudWatch::CompositeAlarm")
        for found in assembly.references(alarm.stack, alarm.properties)
    }
    for topic in assembly.all_of("AWS::SNS::Topic"):
        if topic.path not in heard:
            yield topic, "nothing in the templates subscribes to it"
    for bus in assembly.all_of(*BUSES):
        if not any(_is_on(assembly, route, bus) for route in assembly.all_of(*BUS_OF)):
            route = "rule" if bus.type == "AWS::Events::EventBus" else "subscriber"
            yield bus, f"no {route} in the templates receives its events"


def _is_received(assembly: Assembly, resource: Resource) -> bool:
    """Whether a role may receive from a resource."""
    return any(
        allows(statement, _READ_BY[resource.type])
        and resource in resources_of(assembly, stack, statement)
        for role in assembly.all_of("AWS::IAM::Role")
        for stack, statement in role_statements(assembly, role)
    )


def _is_on(assembly: Assembly, route: Resource, bus: Resource) -> bool:
    named = route.properties.get(BUS_OF[route.type])
    return bus in assembly.references(route.stack, named) or (
        isinstance(named, str) and named == bus.properties.get("Name")
    )


def _untargeted(assembly: Assembly) -> Iterator[BlindSpot]:
    for rule in assembly.all_of("AWS::Events::Rule"):
        if not rule.properties.get("Targets"):
            yield rule, "it has no target in the templates"


def _outside(assembly: Assembly) -> Iterator[BlindSpot]:
    """Functions and workflows that may send to something that is not in the templates."""
    for actor in assembly.all_of("AWS::Lambda::Function", "AWS::StepFunctions::StateMachine"):
        found: dict[str, None] = {}
        for stack, statement in role_statements(assembly, role_of(assembly, actor)):
            for action in _SENDS:
                if allows(statement, action):
                    for value in listed(statement.get("Resource")):
                        if not any(assembly.find(stack, node) for node in nodes(value)):
                            found[f"{action} to {texts(value)}"] = None
        if found:
            yield actor, f"it may send out of the templates ({', '.join(found)})"


def _invoking(assembly: Assembly) -> Iterator[BlindSpot]:
    """Functions that may invoke others; those of custom resources run only in deployments."""
    custom = {
        found.path
        for resource in assembly.resources
        if "ServiceToken" in resource.properties
        for found in assembly.references(resource.stack, resource.properties["ServiceToken"])
    }
    secured = {edge.target for edge in edges(assembly) if edge.kind == "invoke"}
    for caller in assembly.all_of("AWS::Lambda::Function"):
        if caller.path in custom:
            continue
        found: dict[str, None] = {}
        for stack, statement in role_statements(assembly, role_of(assembly, caller)):
            if allows(statement, "lambda:InvokeFunction") and not is_general(statement):
                for called in resources_of(assembly, stack, statement):
                    if called.path not in secured:
                        found[called.path] = None
        if found:
            yield (
                caller,
                f"whether it waits for the functions that it may invoke ({', '.join(found)}) is "
                "only in its code",
            )


def _acting(assembly: Assembly) -> Iterator[BlindSpot]:
    """Roles of services that work in the background, such as jobs that notify a topic.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_create_for-service.html
    """
    for role in assembly.all_of("AWS::IAM::Role"):
        for statement in statements_in(role.properties.get("AssumeRolePolicyDocument")):
            for service in _unknown(services_of(statement), _ACTING):
                yield role, f"no rule covers what {service} does with it"


def _calling(assembly: Assembly) -> Iterator[BlindSpot]:
    """Services that functions, queues and topics admit.

    https://docs.aws.amazon.com/lambda/latest/dg/lambda-services.html
    """
    for permission in assembly.all_of("AWS::Lambda::Permission"):
        principal = text(permission.properties.get("Principal"))
        for service in _unknown([principal], _CALLING):
            target = texts(permission.properties.get("FunctionName"))
            found = assembly.find(permission.stack, permission.properties.get("FunctionName"))
            yield permission, f"no rule covers invocations by {service} of {_name(found, target)}"
    for policy in assembly.all_of("AWS::SNS::TopicPolicy", "AWS::SQS::QueuePolicy"):
        for statement in statements_in(policy.properties.get("PolicyDocument")):
            if allows(statement, "sqs:SendMessage", "sns:Publish"):
                for service in _unknown(services_of(statement), _CALLING):
                    yield policy, f"no rule covers messages that {service} sends"


def _name(found: Resource | None, otherwise: str) -> str:
    return found.path if found else otherwise


def _unknown(services: list[str], known: frozenset[str]) -> Iterator[str]:
    for service in dict.fromkeys(services):
        if _SERVICE.fullmatch(service) and service.removesuffix(".cn") not in known:
            yield service
