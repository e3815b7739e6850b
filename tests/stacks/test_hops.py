"""Each asynchronous hop: bounded retries, a place for what fails, permissions that fit."""

from collections.abc import Mapping
from typing import Any

import pytest

from stacks.environment import DEAD_LETTER_DAYS, DEV, PROD
from tests.conftest import STAGES
from tests.support.assemblies import Assembly, Resource, nodes

DAY = 86_400


@pytest.fixture(params=STAGES)
def app(request: pytest.FixtureRequest, templates: Mapping[str, Assembly]) -> Assembly:
    """The templates of each stage in turn."""
    return templates[request.param]


def queues(app: Assembly) -> list[Resource]:
    return app.of_type("AWS::SQS::Queue")


def mappings(app: Assembly, service: str) -> list[Resource]:
    """Event source mappings of queues (`sqs`) or of tables' streams (`dynamodb`)."""
    types = {"sqs": "AWS::SQS::Queue", "dynamodb": "AWS::DynamoDB::GlobalTable"}
    found = [
        mapping
        for mapping in app.of_type("AWS::Lambda::EventSourceMapping")
        if app.referred(mapping.stack, mapping.properties["EventSourceArn"]).type == types[service]
    ]
    assert found
    return found


def targets(app: Assembly) -> list[tuple[Resource, dict[str, Any]]]:
    return [
        (rule, target)
        for rule in app.of_type("AWS::Events::Rule")
        for target in rule.properties["Targets"]
    ]


def test_each_queue_that_is_consumed_parks_after_some_deliveries(app: Assembly) -> None:
    for mapping in mappings(app, "sqs"):
        queue = app.referred(mapping.stack, mapping.properties["EventSourceArn"])
        redrive = queue.properties["RedrivePolicy"]
        parking = app.referred(queue.stack, redrive["deadLetterTargetArn"])

        assert 5 <= redrive["maxReceiveCount"] <= 10, queue
        assert parking.properties["MessageRetentionPeriod"] == DEAD_LETTER_DAYS * DAY, parking
        assert queue.properties["MessageRetentionPeriod"] < DEAD_LETTER_DAYS * DAY, queue
        allowed = parking.properties["RedriveAllowPolicy"]
        assert allowed["redrivePermission"] == "byQueue", parking
        (source,) = allowed["sourceQueueArns"]
        assert queue.properties["QueueName"] in str(source), parking


def test_each_message_is_hidden_for_six_timeouts_of_its_function(app: Assembly) -> None:
    for mapping in mappings(app, "sqs"):
        queue = app.referred(mapping.stack, mapping.properties["EventSourceArn"])
        function = app.referred(mapping.stack, mapping.properties["FunctionName"])
        window = mapping.properties.get("MaximumBatchingWindowInSeconds", 0)

        hidden = queue.properties["VisibilityTimeout"]
        assert hidden >= 6 * function.properties["Timeout"] + window, queue


def test_each_mapping_reports_failures_one_by_one(app: Assembly) -> None:
    for mapping in app.of_type("AWS::Lambda::EventSourceMapping"):
        assert mapping.properties["FunctionResponseTypes"] == ["ReportBatchItemFailures"], mapping


def test_each_queue_has_bounded_consumers(app: Assembly) -> None:
    for mapping in mappings(app, "sqs"):
        assert mapping.properties["ScalingConfig"]["MaximumConcurrency"] >= 2, mapping


def test_each_stream_hands_only_new_outbox_items_to_its_relay_from_the_beginning(
    app: Assembly,
) -> None:
    outbox = '{"eventName":["INSERT"],"dynamodb":{"NewImage":{"kind":{"S":["outbox"]}}}}'
    for mapping in mappings(app, "dynamodb"):
        assert mapping.properties["FilterCriteria"] == {"Filters": [{"Pattern": outbox}]}
        assert mapping.properties["StartingPosition"] == "TRIM_HORIZON"
        assert mapping.properties["ParallelizationFactor"] == 1


def test_each_stream_gives_up_in_time_and_says_what(app: Assembly) -> None:
    for mapping in mappings(app, "dynamodb"):
        assert mapping.properties["BisectBatchOnFunctionError"] is True
        assert 0 < mapping.properties["MaximumRetryAttempts"] <= 10_000
        assert 0 < mapping.properties["MaximumRecordAgeInSeconds"] < DAY
        destination = mapping.properties["DestinationConfig"]["OnFailure"]["Destination"]
        parking = app.referred(mapping.stack, destination)
        assert parking.properties["MessageRetentionPeriod"] == DEAD_LETTER_DAYS * DAY


def test_each_target_of_a_rule_has_bounded_retries_and_a_dead_letter_queue(app: Assembly) -> None:
    for rule, target in targets(app):
        assert 1 <= target["RetryPolicy"]["MaximumRetryAttempts"] <= 185, rule
        assert 60 <= target["RetryPolicy"]["MaximumEventAgeInSeconds"] <= DAY, rule
        parking = app.referred(rule.stack, target["DeadLetterConfig"]["Arn"])
        assert may_send(app, parking, rule), f"{rule} may not write to {parking}"


def test_each_queue_that_is_a_target_admits_its_rule_alone(app: Assembly) -> None:
    for rule, target in targets(app):
        if not app.refers(rule.stack, target["Arn"]):
            continue
        queue = app.referred(rule.stack, target["Arn"])
        if queue.type == "AWS::SQS::Queue":
            assert may_send(app, queue, rule), f"{rule} may not write to {queue}"


def may_send(app: Assembly, queue: Resource, rule: Resource) -> bool:
    """Whether the queue's policy lets EventBridge send for this rule, and for no other sender."""
    for statement in policy_of(app, queue):
        if statement.get("Principal") == {"Service": "events.amazonaws.com"}:
            (condition,) = statement["Condition"].values()
            source = app.referred(queue.stack, condition["aws:SourceArn"])
            if source == rule and statement["Action"] != "sqs:*":
                return True
    return False


def policy_of(app: Assembly, queue: Resource) -> list[dict[str, Any]]:
    return [
        statement
        for policy in app.of_type("AWS::SQS::QueuePolicy")
        if any(app.referred(policy.stack, each) == queue for each in policy.properties["Queues"])
        for statement in policy.properties["PolicyDocument"]["Statement"]
    ]


def test_each_queue_is_encrypted_and_asks_for_tls(app: Assembly) -> None:
    for queue in queues(app):
        assert queue.properties["SqsManagedSseEnabled"] is True, queue
        assert any(
            statement["Effect"] == "Deny"
            and statement["Action"] == "sqs:*"
            and statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
            for statement in policy_of(app, queue)
        ), queue


def test_each_rule_names_source_and_detail_type(app: Assembly) -> None:
    for rule in app.of_type("AWS::Events::Rule"):
        if not rule.path.startswith("Backbone/"):
            assert rule.properties["EventPattern"].keys() == {"source", "detail-type"}, rule


def test_inbox_remembers_longer_than_an_event_can_come_back(
    templates: Mapping[str, Assembly],
) -> None:
    for environment in (DEV, PROD):
        app = templates[environment.name]
        (archive,) = app.of_type("AWS::Events::Archive")
        remembered = [
            int(function.properties["Environment"]["Variables"]["INBOX_DAYS"])
            for function in app.of_type("AWS::Lambda::Function")
            if "INBOX_DAYS" in function.properties["Environment"]["Variables"]
        ]
        assert min(remembered) > archive.properties["RetentionDays"] + DEAD_LETTER_DAYS


def test_no_function_is_told_more_than_names_and_numbers(app: Assembly) -> None:
    for function in app.of_type("AWS::Lambda::Function"):
        for node in nodes(function.properties["Environment"]["Variables"]):
            assert not isinstance(node, str) or "secret" not in node.lower(), function
