"""Everything that may deliver messages in a way that the rules of durability do not read."""

from collections.abc import Iterator

from cdk_rehearsal.assembly import NESTED_STACK, Assembly, Resource, texts
from cdk_rehearsal.kinds import SYNCHRONOUS, WITHOUT_PART
from cdk_rehearsal.topology.messaging import notifications
from cdk_rehearsal.topology.values import table, tables, text, unknown

BlindSpot = tuple[Resource, str]
"""A resource, and what about it is not understood."""

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


def blind_spots(assembly: Assembly) -> Iterator[BlindSpot]:
    """Yields what is not understood: unknown types and kinds, and values of a deployment."""
    yield from _types(assembly)
    yield from _notifications(assembly)
    yield from _subscriptions(assembly)
    yield from _destinations(assembly)
    yield from _mappings(assembly)


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
    for subscription in assembly.all_of("AWS::SNS::Subscription"):
        protocol = subscription.properties.get("Protocol")
        if text(protocol) not in {"sqs", "lambda"}:
            source = path_of(assembly, subscription, subscription.properties.get("TopicArn"))
            target = path_of(assembly, subscription, subscription.properties.get("Endpoint"))
            says = f"no rule covers subscriptions by {text(protocol) or 'an unknown protocol'}"
            yield subscription, f"{says} ({source} -> {target})"


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


def path_of(assembly: Assembly, resource: Resource, reference: object) -> str:
    """Returns the path of the resource that another one refers to, or the text of the reference."""
    found = assembly.find(resource.stack, reference)
    return found.path if found else texts(reference) or "unknown"
