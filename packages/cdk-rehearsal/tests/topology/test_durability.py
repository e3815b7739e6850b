"""The durability rules: nothing to say of what is sound, and all that is lacking, by its place."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from cdk_rehearsal import Assembly
from cdk_rehearsal.topology import DurabilityRule as Rule
from cdk_rehearsal.topology import edges, losses
from topology.post import DAY_S, arn, post, properties, ref

Templates = Mapping[str, dict[str, Any]]
Spoil = Callable[[Templates], object]


def found(templates: Templates) -> set[tuple[Rule, str]]:
    return {(finding.rule, finding.resource.path) for finding in losses(Assembly(templates))}


def without(logical_id: str, *path: str) -> Spoil:
    """Takes a property from a resource; in lists, from the first."""

    def spoil(templates: Templates) -> None:
        node: Any = properties(templates, logical_id)
        for name in path[:-1]:
            node = node[name]
            node = node[0] if isinstance(node, list) else node
        del node[path[-1]]

    return spoil


def without_resource(logical_id: str) -> Spoil:
    return lambda templates: templates["Post"]["Resources"].pop(logical_id)


def having(logical_id: str, **changed: Any) -> Spoil:
    return lambda templates: properties(templates, logical_id).update(changed)


def transforming(path: str, template: Any) -> Spoil:
    def spoil(templates: Templates) -> None:
        target = properties(templates, "Posted")["Targets"][0]
        target["InputTransformer"] = {"InputPathsMap": {"x": path}, "InputTemplate": template}

    return spoil


RETRY, DLQ, ALARM = Rule.BoundedRetry, Rule.DeadLetterQueue, Rule.AlarmWithAction
RECEIVER = Rule.KnownReceiver
SPOILT: list[tuple[Spoil, set[tuple[Rule, str]]]] = [
    (without("Posted", "Targets", "RetryPolicy"), {(RETRY, "Post/Posted")}),
    (
        without("Posted", "Targets", "RetryPolicy", "MaximumEventAgeInSeconds"),
        {(RETRY, "Post/Posted")},
    ),
    (without("Posted", "Targets", "DeadLetterConfig"), {(DLQ, "Post/Posted")}),
    (without_resource("PostedFails"), {(ALARM, "Post/Posted")}),
    (without("PostedFails", "AlarmActions"), {(ALARM, "Post/Posted")}),
    (having("PostedFails", ActionsEnabled=False), {(ALARM, "Post/Posted")}),
    (
        without("Letters", "RedrivePolicy"),
        {(RETRY, "Post/Letters"), (DLQ, "Post/Letters"), (ALARM, "Post/Letters")},
    ),
    (without("Letters", "RedrivePolicy", "maxReceiveCount"), {(RETRY, "Post/Letters")}),
    (without_resource("LettersWait"), {(ALARM, "Post/Letters")}),
    (
        without_resource("LettersParked"),
        {(ALARM, "Post/Letters"), (Rule.ParkedMessageAlarm, "Post/Undelivered")},
    ),
    (having("LettersParked", Threshold=2), {(Rule.ParkedMessageAlarm, "Post/Undelivered")}),
    (
        having("LettersParked", ComparisonOperator="GreaterThanThreshold"),
        {(Rule.ParkedMessageAlarm, "Post/Undelivered")},
    ),
    (
        having("LettersParked", ComparisonOperator="LessThanThreshold"),
        {(Rule.ParkedMessageAlarm, "Post/Undelivered")},
    ),
    (
        having("Undelivered", MessageRetentionPeriod=4 * DAY_S),
        {(Rule.DeadLetterRetention, "Post/Undelivered")},
    ),
    (
        having("Letters", MessageRetentionPeriod=14 * DAY_S),
        {(Rule.DeadLetterRetention, "Post/Undelivered")},
    ),
    (
        having("Untracked", MessageRetentionPeriod=DAY_S - 1),
        {(Rule.DeadLetterRetention, "Post/Untracked")},
    ),
    (having("Letters", VisibilityTimeout=189), {(Rule.VisibilityTimeout, "Post/Letters")}),
    (having("Sort", Timeout=31), {(Rule.VisibilityTimeout, "Post/Letters")}),
    (
        having("SortLetters", MaximumBatchingWindowInSeconds=11),
        {(Rule.VisibilityTimeout, "Post/Letters")},
    ),
    (
        without("SortLetters", "FunctionResponseTypes"),
        {(Rule.PartialBatchResponse, "Post/Sort/Letters")},
    ),
    (without("TrackParcels", "MaximumRetryAttempts"), {(RETRY, "Post/Track/Parcels")}),
    (having("TrackParcels", MaximumRetryAttempts=-1), {(RETRY, "Post/Track/Parcels")}),
    (without("TrackParcels", "MaximumRecordAgeInSeconds"), {(RETRY, "Post/Track/Parcels")}),
    (
        without("TrackParcels", "DestinationConfig"),
        {(DLQ, "Post/Track/Parcels"), (ALARM, "Post/Track/Parcels")},
    ),
    (without_resource("TrackLags"), {(ALARM, "Post/Track/Parcels")}),
    (without("TrackRole", "Policies"), {(Rule.PermissionToSend, "Post/Track/Role")}),
    (without_resource("ReadPolicy"), {(Rule.PermissionToSend, "Post/Read/Role")}),
    (
        without_resource("ReadInvoked"),
        {(RETRY, "Post/Read"), (DLQ, "Post/Read"), (RECEIVER, "Post/Unread")},
    ),
    (
        without("ReadInvoked", "DestinationConfig"),
        {(DLQ, "Post/Read/Invoked"), (RECEIVER, "Post/Unread")},
    ),
    (without_resource("ReadFails"), {(ALARM, "Post/Read/Invoked")}),
    (without("NewsForLetters", "RedrivePolicy"), {(DLQ, "Post/NewsForLetters")}),
    (without_resource("NewsFails"), {(ALARM, "Post/NewsForLetters")}),
    (without("Hourly", "Target", "RetryPolicy"), {(RETRY, "Post/Hourly")}),
    (without("Hourly", "Target", "DeadLetterConfig"), {(DLQ, "Post/Hourly")}),
    (without_resource("ClocksDrop"), {(ALARM, "Post/Hourly")}),
    (without_resource("ClockPolicy"), {(Rule.PermissionToSend, "Post/Clocks/Role")}),
    (
        without("Collect", "Environment", "Variables", "MAXIMUM_RETRY_ATTEMPTS"),
        {(RETRY, "Post/Collect")},
    ),
    (without("Collect", "Environment", "Variables", "OTHERWISE"), {(DLQ, "Post/Collect")}),
    (without_resource("CollectionsDrop"), {(ALARM, "Post/Collect")}),
    (
        without_resource("CollectionsPolicy"),
        {(DLQ, "Post/Collect"), (Rule.PermissionToSend, "Post/Collections/Role")},
    ),
    (without_resource("LettersPolicy"), {(Rule.PermissionToSend, "Post/Letters")}),
    (without_resource("UndeliveredPolicy"), {(Rule.PermissionToSend, "Post/Undelivered")}),
    (without_resource("UndeliveredNews"), {(Rule.PermissionToSend, "Post/Undelivered")}),
    (
        having("Undelivered", KmsMasterKeyId="alias/aws/sqs"),
        {(Rule.PermissionToEncrypt, "Post/Undelivered")},
    ),
    (
        having("Undelivered", RedriveAllowPolicy={"redrivePermission": "denyAll"}),
        {(Rule.PermissionToRedrive, "Post/Undelivered")},
    ),
    (
        having(
            "Undelivered",
            RedriveAllowPolicy={
                "redrivePermission": "byQueue",
                "sourceQueueArns": ["arn:aws:sqs:eu-central-1:123456789012:others"],
            },
        ),
        {(Rule.PermissionToRedrive, "Post/Undelivered")},
    ),
    *(
        (transforming(path, template), {(Rule.DeliverableInput, "Post/Posted")})
        for path, template in (
            ("$.detail", '{"a": "<x>"}'),
            ("$", '["<x>"]'),
            ("$.resources", '{"a": "all of <x>"}'),
            ("$.detail.letters[*].id", '{"a": "<x>"}'),
            ("$.id", '{"a": "<aws.events.event.json>"}'),
            ("$.detail", {"Fn::Join": ["", ['{"at": "', {"Ref": "Bell"}, '", "a": "<x>"}']]}),
        )
    ),
    *(
        (transforming(path, template), set())
        for path, template in (
            ("$.detail", '{"a": <x>}'),
            ("$.detail", '"all of <x>"'),
            ("$.detail.id", '{"a": "<x>"}'),
            ("$.id", '{"a": <aws.events.event>, "b": "<aws.events.rule-arn>"}'),
            ("no path", '{"a": "<x>"}'),
        )
    ),
]


def test_of_a_sound_application_there_is_nothing_to_say() -> None:
    assert found(post()) == set()


@pytest.mark.parametrize(("spoil", "expected"), SPOILT)
def test_what_is_lacking_is_found_where_it_is_to_be_mended(
    spoil: Spoil, expected: set[tuple[Rule, str]]
) -> None:
    templates = post()
    spoil(templates)
    assert found(templates) == expected
    assert all(finding.fix for finding in losses(Assembly(templates)))


def test_each_rule_is_broken_by_something_above() -> None:
    broken = {rule for _, expected in SPOILT for rule, _ in expected}
    assert broken == set(Rule) - {Rule.KnownKind}


@pytest.mark.parametrize(
    "changed",
    [
        {"Action": "sqs:ReceiveMessage"},
        {"Principal": {"Service": "sns.amazonaws.com"}},
        {"Condition": {"ArnEquals": {"aws:SourceArn": arn("Bell")}}},
        {"Effect": "Deny"},
    ],
)
def test_a_queue_that_admits_something_else_does_not_admit(changed: dict[str, Any]) -> None:
    templates = post()
    (statement,) = properties(templates, "UndeliveredPolicy")["PolicyDocument"]["Statement"]
    statement.update(changed)
    assert found(templates) == {(Rule.PermissionToSend, "Post/Undelivered")}


def test_a_queue_may_admit_without_a_condition_or_by_a_pattern() -> None:
    templates = post()
    for logical_id in ("LettersPolicy", "UndeliveredPolicy"):
        (statement,) = properties(templates, logical_id)["PolicyDocument"]["Statement"]
        statement["Condition"] = {"ArnLike": {"AWS:SourceArn": ["arn:aws:events:*:*:rule/*"]}}
    for logical_id in ("LettersNews", "UndeliveredNews"):
        (statement,) = properties(templates, logical_id)["PolicyDocument"]["Statement"]
        del statement["Condition"]
    assert found(templates) == set()


def test_a_key_of_ones_own_has_to_admit_the_services_that_write() -> None:
    templates = post()
    key: dict[str, Any] = {
        "Type": "AWS::KMS::Key",
        "Properties": {"KeyPolicy": {"Statement": []}},
        "Metadata": {"aws:cdk:path": "Post/Key/Resource"},
    }
    templates["Post"]["Resources"]["Key"] = key
    properties(templates, "Undelivered")["KmsMasterKeyId"] = arn("Key")
    assert found(templates) == {(Rule.PermissionToEncrypt, "Post/Undelivered")}

    key["Properties"]["KeyPolicy"]["Statement"] = [
        {
            "Effect": "Allow",
            "Principal": {"Service": ["events.amazonaws.com", "sns.amazonaws.com"]},
            "Action": ["kms:Decrypt", "kms:GenerateDataKey*"],
            "Resource": "*",
        }
    ]
    assert found(templates) == set()


def test_what_belongs_to_others_is_not_looked_into() -> None:
    """A queue of another application is where it says; what it is like is for them to see to."""
    templates = post()
    outside = "arn:aws:sqs:eu-central-1:123456789012:lost-property"
    properties(templates, "Posted")["Targets"][0]["DeadLetterConfig"]["Arn"] = outside
    properties(templates, "SortLetters")["EventSourceArn"] = {"Fn::ImportValue": "others:sqs:queue"}
    assert found(templates) == {(RECEIVER, "Post/Letters")}


def test_a_bucket_is_as_safe_as_the_queue_that_it_notifies() -> None:
    templates = post()
    properties(templates, "ScansHeard")["NotificationConfiguration"] = {
        "QueueConfigurations": [{"QueueArn": arn("Letters")}]
    }
    heard = "Post/Scans/Notifications"
    assert (Rule.PermissionToSend, "Post/Letters") in found(templates)
    assert (DLQ, heard) not in found(templates)
    del properties(templates, "Letters")["RedrivePolicy"]
    assert {(DLQ, heard), (ALARM, heard)} <= found(templates)


def test_a_functions_own_dead_letter_queue_will_do() -> None:
    templates = post()
    del properties(templates, "ReadInvoked")["DestinationConfig"]
    properties(templates, "Read")["DeadLetterConfig"] = {"TargetArn": arn("Unread")}
    assert found(templates) == set()


def test_a_function_that_creates_schedules_has_an_edge_to_each_target_of_their_role() -> None:
    templates = post()
    variables = properties(templates, "Collect")["Environment"]["Variables"]
    del variables["TO"], variables["GROUP"]
    (edge,) = (edge for edge in edges(Assembly(templates)) if edge.kind == "scheduled")
    assert (edge.source, edge.target) == ("Post/Collect", "Post/Letters")
    assert (edge.retries, edge.parking) == ("9 times, 3600 s", "Post/Undelivered")
    del templates["Post"]["Resources"]["CollectionsPolicy"]
    (edge,) = (edge for edge in edges(Assembly(templates)) if edge.kind == "scheduled")
    assert edge.target == "unknown target of Post/Collections/Role"


def test_a_function_that_may_create_no_schedule_or_pass_no_role_has_no_such_edge() -> None:
    for position in (0, 1):
        templates = post()
        policy = properties(templates, "CollectRole")["Policies"][0]["PolicyDocument"]
        policy["Statement"][position]["Effect"] = "Deny"
        assert "scheduled" not in {edge.kind for edge in edges(Assembly(templates))}


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        ("sqs:SendMessage", set()),
        ("sqs:GetQueueUrl", {(Rule.PermissionToSend, "Post/Sort/Role")}),
        # It redrives the queue.
        ("sqs:ReceiveMessage", set()),
    ],
)
def test_a_function_that_knows_a_dead_letter_queue_may_send_to_it(
    action: str, expected: set[tuple[Rule, str]]
) -> None:
    templates = post()
    properties(templates, "Sort")["Environment"] = {"Variables": {"ANY": ref("Undelivered")}}
    statement = {"Effect": "Allow", "Action": action, "Resource": arn("Undelivered")}
    policy = {"PolicyDocument": {"Statement": statement}}
    properties(templates, "SortRole")["Policies"] = [policy]
    assert found(templates) == expected


def test_a_rule_or_schedule_that_invokes_a_function_is_two_edges() -> None:
    changes: tuple[Spoil, ...] = (
        lambda templates: properties(templates, "Posted")["Targets"][0].update(Arn=arn("Sort")),
        lambda templates: properties(templates, "Hourly")["Target"].update(Arn=arn("Sort")),
    )
    for change in changes:
        templates = post()
        change(templates)
        assert found(templates) == {
            (RETRY, "Post/Sort"),
            (DLQ, "Post/Sort"),
            (ALARM, "Post/Sort"),
        }


def test_a_kind_that_is_not_known_is_named_and_not_passed_over() -> None:
    templates = post()
    templates["Post"]["Resources"]["Tube"] = {
        "Type": "AWS::Pipes::Pipe",
        "Properties": {"Source": arn("Letters"), "Target": ref("News")},
        "Metadata": {"aws:cdk:path": "Post/Tube/Resource"},
    }
    assert found(templates) == {(Rule.KnownKind, "Post/Tube")}


def test_each_finding_says_where_what_and_what_to_do() -> None:
    templates = post()
    properties(templates, "Letters")["VisibilityTimeout"] = 60
    (finding,) = losses(Assembly(templates))
    assert str(finding) == (
        "Post/Letters: hides a message for 60 s, but Post/Sort needs 190 s (6 times 30 s, plus a "
        "window of 10 s). Set VisibilityTimeout to six times the function's timeout, plus the "
        "batching window."
    )
