"""The rules of durability are never silent: what they do not understand is a finding."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from cdk_rehearsal import Assembly
from cdk_rehearsal.topology import (
    DurabilityRule,
    Loss,
    compare_assemblies,
    edges,
    filters,
    leftovers,
    losses,
    senders,
    worst,
)
from topology.post import DAY_S, arn, post, properties, ref

Template = dict[str, Any]
Path = tuple[str | int, ...]


def adding(type_: str, **values: Any) -> dict[str, Template]:
    """Returns the post office with one more resource."""
    templates = post()
    metadata = {"aws:cdk:path": "Post/New/Resource"}
    new = {"Type": type_, "Properties": values, "Metadata": metadata}
    templates["Post"]["Resources"]["New"] = new
    return templates


def unknown(templates: Mapping[str, Template]) -> list[str]:
    return [
        str(finding)
        for finding in losses(Assembly(templates))
        if finding.rule is DurabilityRule.KnownKind
    ]


@pytest.mark.parametrize(
    "type_",
    [
        "AWS::EventsV2::EventSource",
        "AWS::Logs::Destination",
        "AWS::SES::ReceiptRule",
        "AWS::Pipes::Pipe",
        "AWS::KinesisFirehose::DeliveryStream",
        "AWS::IoT::TopicRule",
        "AWS::Teleport::Beam",
    ],
)
def test_a_type_that_may_deliver_is_a_finding(type_: str) -> None:
    (finding,) = unknown(adding(type_))
    assert finding.startswith(f"Post/New: no rule covers the type {type_}")


@pytest.mark.parametrize(
    "type_", ["AWS::EC2::VPC", "AWS::WAFv2::WebACL", "Custom::Own", "AWS::CloudFront::Distribution"]
)
def test_a_type_that_delivers_nothing_is_none(type_: str) -> None:
    assert unknown(adding(type_)) == []


@pytest.mark.parametrize("protocol", ["https", "http", "firehose", "email", "sms", ref("Protocol")])
def test_a_subscription_that_leaves_the_application_is_a_finding_with_both_ends(
    protocol: Any,
) -> None:
    templates = adding(
        "AWS::SNS::Subscription", TopicArn=ref("News"), Protocol=protocol, Endpoint="https://x.org"
    )
    (finding,) = unknown(templates)
    assert "(Post/News -> https://x.org)" in finding


@pytest.mark.parametrize("destination", ["arn:aws:logs:x:1:destination:theirs", arn("Letters")])
def test_a_log_group_with_another_subscriber_is_a_finding_with_both_ends(destination: Any) -> None:
    templates = adding(
        "AWS::Logs::SubscriptionFilter", LogGroupName="lines", DestinationArn=destination
    )
    (finding,) = unknown(templates)
    assert "subscriptions of log groups by it (lines -> " in finding


def test_notifications_of_a_topic_are_a_finding_with_both_ends() -> None:
    configuration = {"TopicConfigurations": [{"Topic": ref("News"), "Event": "s3:ObjectCreated:*"}]}
    (finding,) = unknown(adding("AWS::S3::Bucket", NotificationConfiguration=configuration))
    assert "(Post/New -> Post/News)" in finding


def test_a_destination_of_successes_is_a_finding_with_both_ends() -> None:
    templates = post()
    properties(templates, "ReadInvoked")["DestinationConfig"]["OnSuccess"] = {
        "Destination": arn("Letters")
    }
    (finding,) = unknown(templates)
    assert "OnSuccess (Post/Read -> Post/Letters)" in finding


def test_a_mapping_of_an_unknown_source_is_a_finding_with_both_ends() -> None:
    templates = post()
    properties(templates, "TrackParcels")["EventSourceArn"] = ref("News")
    (finding,) = unknown(templates)
    assert "(Post/News -> Post/Track)" in finding


# -- values -------------------------------------------------------------------------------


def test_parameters_have_their_defaults_and_conditions_follow_them() -> None:
    templates = post()
    template = templates["Post"]
    template["Parameters"] = {
        "Days": {"Type": "Number", "Default": "4"},
        "Stage": {"Type": "String", "Default": "dev"},
    }
    template["Conditions"] = {
        "Dev": {"Fn::Equals": [ref("Stage"), "dev"]},
        "Prod": {"Fn::And": [{"Fn::Not": [{"Condition": "Dev"}]}, {"Condition": "Dev"}]},
    }
    queue = properties(templates, "Letters")
    queue["VisibilityTimeout"] = {"Fn::If": ["Prod", 900, {"Fn::If": ["Dev", ref("Days"), 900]}]}
    queue["RedrivePolicy"] = {"Fn::If": ["Prod", ref("AWS::NoValue"), queue["RedrivePolicy"]]}
    (finding,) = losses(Assembly(templates))
    assert "Post/Letters: hides a message for 4 s" in str(finding)


def test_a_value_of_the_deployment_is_a_finding_where_an_edge_depends_on_it() -> None:
    templates = post()
    templates["Post"]["Parameters"] = {"Times": {"Type": "Number"}}
    target = properties(templates, "Posted")["Targets"][0]
    target["RetryPolicy"]["MaximumRetryAttempts"] = ref("Times")
    (finding,) = unknown(templates)
    place = "Targets[0].RetryPolicy.MaximumRetryAttempts"
    assert f"{place} is known only when the parameter Times is" in finding


def paths(value: Any, path: Path = ()) -> Iterator[Path]:
    items = value.items() if isinstance(value, dict) else ()
    for name, inner in enumerate(value) if isinstance(value, list) else items:
        yield (*path, name)
        yield from paths(inner, (*path, name))


def put(node: Any, path: Path, value: Any) -> None:
    for name in path[:-1]:
        node = node[name]
    node[path[-1]] = value


@pytest.mark.parametrize("logical_id", post()["Post"]["Resources"])
def test_no_value_that_is_known_only_at_deployment_stops_an_analysis(logical_id: str) -> None:
    """Each property of each resource, and each part of it, is a parameter or a condition once."""
    condition = {"Fn::If": ["Open", ref("Open"), ref("AWS::NoValue")]}
    sound = Assembly(post())
    for path in paths(properties(post(), logical_id)):
        for value in (ref("Open"), condition):
            templates = post()
            template = templates["Post"]
            template["Parameters"] = {"Open": {"Type": "String"}}
            template["Conditions"] = {"Open": {"Fn::Equals": [ref("Open"), "x"]}}
            put(properties(templates, logical_id), path, value)
            assembly = Assembly(templates)
            for analyse in (losses, edges, filters, senders, leftovers):
                analyse(assembly)
            compare_assemblies(sound, assembly)


def test_a_rule_on_the_default_bus_does_not_stop_a_review() -> None:
    templates = post()
    properties(templates, "Posted").pop("EventBusName", None)
    assert compare_assemblies(Assembly(post()), Assembly(templates)).blocking["refused"] == []


# -- what AWS accepts ---------------------------------------------------------------------


@pytest.mark.parametrize("fifo", [True, False])
def test_a_dead_letter_queue_of_a_fifo_queue_may_keep_messages_as_long(fifo: bool) -> None:
    """https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/setting-up-dead-letter-queue-retention.html"""
    templates = post()
    for name in ("Letters", "Undelivered"):
        properties(templates, name).update(FifoQueue=fifo, MessageRetentionPeriod=14 * DAY_S)
    found = {finding.rule for finding in losses(Assembly(templates))}
    assert found == (set() if fifo else {DurabilityRule.DeadLetterRetention})


@pytest.mark.parametrize("principal", ["*", {"AWS": "*"}, {"AWS": ["*"]}])
def test_a_queue_may_admit_everybody(principal: Any) -> None:
    templates = post()
    for name in ("LettersPolicy", "UndeliveredPolicy"):
        properties(templates, name)["PolicyDocument"]["Statement"][0]["Principal"] = principal
    assert losses(Assembly(templates)) == []


@pytest.mark.parametrize(
    "managed", ["AmazonSQSFullAccess", "AdministratorAccess", "PowerUserAccess"]
)
def test_a_role_may_send_by_a_policy_of_aws(managed: str) -> None:
    templates = post()
    role = properties(templates, "TrackRole")
    del role["Policies"]
    assert losses(Assembly(templates)) != []
    role["ManagedPolicyArns"] = [
        {"Fn::Join": ["", ["arn:", ref("AWS::Partition"), f":iam::aws:policy/{managed}"]]}
    ]
    assert losses(Assembly(templates)) == []


# -- severity -----------------------------------------------------------------------------


def test_the_worst_findings_come_from_all_of_them_in_their_order() -> None:
    templates = post()
    del templates["Post"]["Resources"]["PostedFails"]
    del properties(templates, "Letters")["RedrivePolicy"]
    found = losses(Assembly(templates))
    severities = [finding.severity for finding in found]
    assert {"high", "low"} <= {*severities}
    assert [finding.severity for finding in worst(found, severities.count("high"))] == [
        "high"
    ] * severities.count("high")
    assert worst(found, 100) == found


def test_each_finding_names_both_ends_or_the_one_resource_it_is_about() -> None:
    def spoil(name: str, **changed: Any) -> list[Loss]:
        templates = post()
        properties(templates, name).update(changed)
        return losses(Assembly(templates))

    (batch,) = spoil("SortLetters", FunctionResponseTypes=[])
    assert "(Post/Letters -> Post/Sort)" in str(batch)
    (alarm,) = spoil("LettersParked", Threshold=2)
    assert " -> " in str(alarm)
    assert alarm.as_json()["severity"] == "medium"
