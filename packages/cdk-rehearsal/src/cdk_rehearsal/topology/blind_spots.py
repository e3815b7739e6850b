"""Everything that may deliver messages in a way that the rules of durability do not read."""

from collections.abc import Iterator

from cdk_rehearsal.assembly import NESTED_STACK, Assembly, Resource, texts
from cdk_rehearsal.kinds import SYNCHRONOUS, WITHOUT_PART
from cdk_rehearsal.topology.dead_ends import BlindSpot, background
from cdk_rehearsal.topology.messaging import (
    LOG_TARGETS,
    notifications,
    subscribed_to_logs,
    subscriptions,
)
from cdk_rehearsal.topology.values import table, tables, text, unknown
from cdk_rehearsal.topology.workflow_tasks import unfollowed_tasks

_EDGES = frozenset(
    {
        "AWS::Events::Archive",
        "AWS::Events::EventBus",
        "AWS::Events::EventBusPolicy",
        "AWS::Events::Rule",
        "AWS::EventsV2::EventBus",
        "AWS::EventsV2::ResourcePolicy",
        "AWS::EventsV2::Subscriber",
        "AWS::Kinesis::Stream",
        "AWS::Lambda::EventSourceMapping",
        "AWS::Logs::SubscriptionFilter",
        "AWS::SNS::Subscription",
        "AWS::Scheduler::Schedule",
        "Custom::S3BucketNotifications",
    }
)
"""Types of which these rules read where messages go."""

_SOURCES = frozenset(
    {
        "AWS::DynamoDB::GlobalTable",
        "AWS::DynamoDB::Table",
        "AWS::Kinesis::Stream",
        "AWS::SQS::Queue",
    }
)
"""Types that an event source mapping reads and these rules know."""

_NOT_READ = {
    "AWS::ApiGateway::RestApi": ("BodyS3Location",),
    "AWS::ApiGatewayV2::Api": ("BodyS3Location",),
    "AWS::Cognito::IdentityPool": ("CognitoEvents", "CognitoStreams", "PushSync"),
    "AWS::DynamoDB::Table": ("KinesisStreamSpecification",),
    "AWS::S3::Bucket": ("InventoryConfigurations", "ReplicationConfiguration"),
}
"""Properties of known types with which something is delivered that no rule follows.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/replication.html
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/kds.html
"""


def blind_spots(assembly: Assembly) -> Iterator[BlindSpot]:
    """Yields what is not understood: unknown types and kinds, and values of a deployment."""
    yield from _types(assembly)
    yield from _notifications(assembly)
    yield from _subscriptions(assembly)
    yield from _log_subscriptions(assembly)
    yield from _destinations(assembly)
    yield from _mappings(assembly)
    yield from _properties(assembly)
    yield from background(assembly)
    yield from unfollowed_tasks(assembly)


def _types(assembly: Assembly) -> Iterator[BlindSpot]:
    known = _EDGES | SYNCHRONOUS | WITHOUT_PART
    for resource in assembly.resources:
        if resource.type in _EDGES:
            for place, what in unknown(assembly, resource):
                yield resource, f"{place} is known only when {what} is"
        elif resource.type == NESTED_STACK:
            if assembly.nested(resource) is None:
                yield (
                    resource,
                    "the template of this nested stack is not in the assembly, so that its edges "
                    "are unknown",
                )
        elif resource.type not in known and not _is_custom(resource):
            yield resource, f"no rule covers the type {resource.type}"


def _is_custom(resource: Resource) -> bool:
    """Whether it is a custom resource, whose function is called only by deployments."""
    return resource.type.startswith(("Custom::", "AWS::CloudFormation::CustomResource"))


def _notifications(assembly: Assembly) -> Iterator[BlindSpot]:
    for stated_in, bucket, configuration in notifications(assembly):
        for entry in tables(configuration.get("TopicConfigurations")):
            source = (bucket or stated_in).path
            topic = path_of(assembly, stated_in, entry.get("Topic", entry.get("TopicArn")))
            yield stated_in, f"no rule covers notifications of a topic ({source} -> {topic})"


def _subscriptions(assembly: Assembly) -> Iterator[BlindSpot]:
    for stated_in, topic, properties in subscriptions(assembly):
        protocol = text(properties.get("Protocol"))
        if protocol not in {"sqs", "lambda"}:
            source = path_of(assembly, stated_in, topic)
            target = path_of(assembly, stated_in, properties.get("Endpoint"))
            says = f"no rule covers subscriptions by {protocol or 'an unknown protocol'}"
            yield stated_in, f"{says} ({source} -> {target})"


def _log_subscriptions(assembly: Assembly) -> Iterator[BlindSpot]:
    for stated_in, found in subscribed_to_logs(assembly):
        if found is None or not found.type.startswith(LOG_TARGETS):
            source = path_of(assembly, stated_in, stated_in.properties.get("LogGroupName"))
            target = path_of(assembly, stated_in, stated_in.properties.get("DestinationArn"))
            says = f"no rule covers subscriptions of log groups by it ({source} -> {target})"
            yield stated_in, says


def _destinations(assembly: Assembly) -> Iterator[BlindSpot]:
    for config in assembly.all_of("AWS::Lambda::EventInvokeConfig"):
        destinations = table(config.properties.get("DestinationConfig"))
        if success := table(destinations.get("OnSuccess")).get("Destination"):
            source = path_of(assembly, config, config.properties.get("FunctionName"))
            target = path_of(assembly, config, success)
            yield config, f"no rule covers the destination OnSuccess ({source} -> {target})"


def _mappings(assembly: Assembly) -> Iterator[BlindSpot]:
    for mapping in assembly.all_of("AWS::Lambda::EventSourceMapping"):
        arn = mapping.properties.get("EventSourceArn")
        source = assembly.find(mapping.stack, arn)
        if arn is None or (source and source.type not in _SOURCES):
            read = source.path if source else "a source without an ARN"
            function = path_of(assembly, mapping, mapping.properties.get("FunctionName"))
            yield mapping, f"no rule covers mappings of such a source ({read} -> {function})"


def _properties(assembly: Assembly) -> Iterator[BlindSpot]:
    for type_, names in _NOT_READ.items():
        for resource in assembly.all_of(type_):
            for name in names:
                if value := resource.properties.get(name):
                    targets = (each.path for each in assembly.references(resource.stack, value))
                    ends = f"{resource.path} -> {', '.join(targets) or 'outside'}"
                    yield resource, f"no rule covers its {name} ({ends})"


def path_of(assembly: Assembly, resource: Resource, reference: object) -> str:
    """Returns the path of the resource that another one refers to, or the text of the reference."""
    found = assembly.find(resource.stack, reference)
    return found.path if found else texts(reference) or "unknown"
