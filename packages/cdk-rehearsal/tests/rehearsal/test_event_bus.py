"""EventBridge: PutEvents, rules, targets with their input, retries, dead letters, archives."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest

from cdk_rehearsal import Rehearsal, UnsupportedTemplateError
from rehearsal.cloud import Cloud, arn, ref
from rehearsal.conftest import Deploy, Rehearse
from rehearsal.worlds import World, eventually

ORDERS = {"source": ["shop.orders"]}
ECHO = "import json\ndef handler(event, context): print(json.dumps(event))"


@pytest.fixture
def bus(template: Cloud) -> Cloud:
    """A bus and a queue that may be a target."""
    template.bus("Bus")
    template.queue("Queue")
    return template


def event(**changes: Any) -> dict[str, Any]:
    return {
        "Source": "shop.orders",
        "DetailType": "OrderPlaced.v1",
        "Detail": json.dumps({"order": {"id": "o-1", "lines": [{"sku": "a"}, {"sku": "b"}]}}),
        **changes,
    }


def publish(shop: World, *entries: dict[str, Any]) -> dict[str, Any]:
    bus = {"EventBusName": shop.physical_id("Shop/Bus")}
    sent = [{**entry, **bus} for entry in entries or [event()]]
    answer: dict[str, Any] = shop.client("events").put_events(Entries=sent)
    shop.run_until_idle()
    return answer


def bodies(shop: World, path: str = "Shop/Queue") -> list[str]:
    return [message["body"] for message in shop.messages(path)]


def test_an_event_reaches_the_targets_of_the_rules_that_match_it(bus: Cloud, aws: Deploy) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-events-structure.html"""
    bus.queue("Other")
    bus.rule("Rule", ORDERS, {"Arn": arn("Queue")})
    bus.rule("Never", {"source": ["shop.payments"]}, {"Arn": arn("Other")})
    shop = aws()
    answer = publish(shop, event(Resources=["arn:aws:x"]))
    (body,) = bodies(shop)
    found = json.loads(body)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", found.pop("time"))
    assert found == {
        "version": "0",
        "id": answer["Entries"][0]["EventId"],
        "detail-type": "OrderPlaced.v1",
        "source": "shop.orders",
        "account": shop.account,
        "region": shop.region,
        "resources": ["arn:aws:x"],
        "detail": {"order": {"id": "o-1", "lines": [{"sku": "a"}, {"sku": "b"}]}},
    }
    assert bodies(shop, "Shop/Other") == []
    if isinstance(shop, Rehearsal):
        assert [(r.kind, r.source, r.target) for r in shop.meter.records] == [
            ("published", "outside", "Shop/Bus"),
            ("delivery", "Shop/Rule", "Shop/Queue"),
        ]


def test_a_pattern_sees_into_arrays_of_objects(bus: Cloud, aws: Deploy) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-event-patterns-arrays.html"""
    pattern = {"detail": {"order": {"lines": {"sku": ["b"]}}}}
    bus.rule("Rule", pattern, {"Arn": arn("Queue")})
    shop = aws()
    publish(shop)
    assert len(bodies(shop)) == 1


def test_a_disabled_rule_delivers_nothing(bus: Cloud, aws: Deploy) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_DisableRule.html"""
    bus.rule("Rule", ORDERS, {"Arn": arn("Queue")})
    shop = aws()
    bus_name, _, name = shop.physical_id("Shop/Rule").partition("|")
    shop.client("events").disable_rule(Name=name, EventBusName=bus_name)
    publish(shop)
    assert bodies(shop) == []


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"Source": ""}, "InvalidArgument"),
        ({"DetailType": ""}, "InvalidArgument"),
        ({"Detail": ""}, "InvalidArgument"),
        ({"Detail": "{"}, "MalformedDetail"),
        ({"Detail": "[1]"}, "MalformedDetail"),
        ({"Source": "aws.orders"}, "NotAuthorizedForSourceException"),
    ],
)
def test_a_wrong_entry_fails_alone(
    bus: Cloud, aws: Deploy, changes: dict[str, str], code: str
) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEventsResultEntry.html"""
    bus.rule("Rule", ORDERS, {"Arn": arn("Queue")})
    shop = aws()
    answer = publish(shop, event(), event(**changes), event())
    assert answer["FailedEntryCount"] == 1
    assert answer["Entries"][1]["ErrorCode"] == code
    assert len(bodies(shop)) == 2


def test_a_request_has_ten_entries_and_a_megabyte_at_most(bus: Cloud, aws: Deploy) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevents.html
    https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html
    """
    shop = aws()
    client = shop.client("events")
    bus_name = shop.physical_id("Shop/Bus")
    large = event(Detail=json.dumps({"x": "x" * 600_000}), EventBusName=bus_name)
    for entries in ([event(EventBusName=bus_name)] * 11, [large] * 2):
        with pytest.raises(client.exceptions.ClientError, match="ValidationException"):
            client.put_events(Entries=entries)
    assert client.put_events(Entries=[large])["FailedEntryCount"] == 0


def test_a_target_gets_the_part_of_the_event_that_it_wants(bus: Cloud, aws: Deploy) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-transform-target-input.html"""
    for name in ("Path", "Constant", "Transformed"):
        bus.queue(name)
    bus.rule(
        "Rule",
        ORDERS,
        {"Arn": arn("Path"), "InputPath": "$.detail.order"},
        {"Arn": arn("Constant"), "Input": '{"fixed": true}'},
        {
            "Arn": arn("Transformed"),
            "InputTransformer": {
                "InputPathsMap": {"id": "$.detail.order.id"},
                "InputTemplate": '{"order": <id>, "rule": <aws.events.rule-name>}',
            },
        },
    )
    shop = aws()
    publish(shop)
    assert json.loads(bodies(shop, "Shop/Path")[0])["id"] == "o-1"
    assert json.loads(bodies(shop, "Shop/Constant")[0]) == {"fixed": True}
    assert json.loads(bodies(shop, "Shop/Transformed")[0]) == {
        "order": "o-1",
        "rule": shop.physical_id("Shop/Rule").partition("|")[2],
    }


# -- failure ------------------------------------------------------------------------------


def with_dead_letters(bus: Cloud, **retry: int) -> None:
    bus.queue("Dead")
    bus.rule(
        "Rule",
        ORDERS,
        {
            "Arn": arn("Queue"),
            "DeadLetterConfig": {"Arn": arn("Dead")},
            "RetryPolicy": retry
            or {"MaximumRetryAttempts": 185, "MaximumEventAgeInSeconds": 86_400},
        },
    )


def test_a_delivery_that_fails_for_a_while_is_tried_again(bus: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-retry-policy.html"""
    with_dead_letters(bus)
    shop = rehearse()
    shop.faults.fail("Shop/Queue", when="delivery", times=3)
    publish(shop)
    records = shop.meter.of("delivery")
    assert [r.detail["outcome"] for r in records] == ["failed"] * 3 + ["delivered"]
    waits = [b.time - a.time for a, b in pairwise(records)]
    assert waits == sorted(waits)
    assert len(bodies(shop)) == 1
    assert bodies(shop, "Shop/Dead") == []


def test_after_its_retries_an_event_goes_to_the_targets_dead_letter_queue(
    bus: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-dlq.html"""
    with_dead_letters(bus, MaximumRetryAttempts=2)
    shop = rehearse()
    shop.faults.fail("Shop/Queue", when="delivery", times=None)
    publish(shop)
    assert len(shop.meter.of("delivery")) == 3
    (message,) = shop.messages("Shop/Dead")
    assert json.loads(message["body"])["detail"]["order"]["id"] == "o-1"
    attributes = message["attributes"]
    assert attributes["RULE_ARN"] == shop.resource("Shop/Rule").attributes["Arn"]
    assert attributes["TARGET_ARN"] == shop.resource("Shop/Queue").attributes["Arn"]
    assert attributes["EXHAUSTED_RETRY_CONDITION"] == "MaximumRetryAttempts"
    assert attributes["RETRY_ATTEMPTS"] == "2"
    assert {"ERROR_CODE", "ERROR_MESSAGE"} <= set(attributes)
    assert shop.dead_letter_queues() == ["Shop/Dead"]


@pytest.mark.parametrize("parked", [True, False])
def test_an_object_in_a_text_of_an_input_template_is_not_delivered(
    bus: Cloud, aws: Deploy, parked: bool
) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-transform-target-input.html"""
    bus.queue("Dead")
    target = {
        "Arn": arn("Queue"),
        "InputTransformer": {
            "InputPathsMap": {"order": "$.detail.order"},
            "InputTemplate": '{"order": "<order>"}',
        },
    }
    if parked:
        target["DeadLetterConfig"] = {"Arn": arn("Dead")}
    bus.rule("Rule", ORDERS, target)
    shop = aws()
    publish(shop)
    assert bodies(shop, "Shop/Queue") == []
    assert len(shop.messages("Shop/Dead")) == parked
    if parked and isinstance(shop, Rehearsal):
        message = shop.messages("Shop/Dead")[0]["attributes"]["ERROR_MESSAGE"]
        assert "quotation marks around <order>, which is an object" in str(message)
    if isinstance(shop, Rehearsal):
        (delivery,) = shop.meter.of("delivery")
        assert (delivery.detail["outcome"], delivery.detail["error"]) == (
            "failed",
            "INVALID_PARAMETER",
        )
        assert len(shop.meter.of("discarded")) == (not parked)


def test_an_event_that_is_too_old_goes_to_the_targets_dead_letter_queue(
    bus: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-retry-policy.html"""
    with_dead_letters(bus, MaximumEventAgeInSeconds=60)
    shop = rehearse()
    shop.faults.fail("Shop/Queue", when="delivery", times=None)
    publish(shop)
    (message,) = shop.messages("Shop/Dead")
    assert message["attributes"]["EXHAUSTED_RETRY_CONDITION"] == "MaximumEventAgeInSeconds"
    assert shop.meter.of("dead_letter")[0].time - 1767600000 <= 60


def test_a_target_that_does_not_admit_the_rule_is_not_tried_again(bus: Cloud, aws: Deploy) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-dlq.html"""
    with_dead_letters(bus)
    statement = bus.resources["QueuePolicy"]["Properties"]["PolicyDocument"]["Statement"][0]
    statement["Condition"] = {"ArnEquals": {"aws:SourceArn": "arn:aws:events:x:y:rule/other"}}
    shop = aws()
    publish(shop)
    if isinstance(shop, Rehearsal):
        assert [r.detail["error"] for r in shop.meter.of("delivery")] == ["NO_PERMISSIONS"]
    (message,) = shop.messages("Shop/Dead")
    assert message["attributes"]["ERROR_CODE"] == "NO_PERMISSIONS"
    assert "EXHAUSTED_RETRY_CONDITION" not in message["attributes"]


@pytest.mark.parametrize("admitted", [True, False])
def test_without_a_dead_letter_queue_that_admits_the_rule_an_event_is_lost(
    bus: Cloud, rehearse: Rehearse, admitted: bool
) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-dlq.html"""
    with_dead_letters(bus, MaximumRetryAttempts=0)
    if not admitted:
        del bus.resources["DeadPolicy"]
    shop = rehearse()
    shop.faults.fail("Shop/Queue", when="delivery")
    publish(shop)
    assert len(shop.meter.of("discarded", source="Shop/Rule")) == (0 if admitted else 1)
    assert len(bodies(shop, "Shop/Dead")) == (1 if admitted else 0)


# -- other targets ------------------------------------------------------------------------


def permit(bus: Cloud, source: Any) -> None:
    bus.permission(
        "Permission",
        arn("Function"),
        "events.amazonaws.com",
        SourceArn=source,
    )


def test_a_function_is_invoked_asynchronously(bus: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-targets.html"""
    bus.function("Function", ECHO)
    bus.rule("Rule", ORDERS, {"Arn": arn("Function")})
    permit(bus, arn("Rule"))
    shop = rehearse()
    shop.faults.fail("Shop/Function")
    publish(shop)
    invocations = shop.meter.of("invocation")
    assert [(r.source, r.detail["type"]) for r in invocations] == [("Shop/Rule", "async")] * 2
    assert round(invocations[1].time - invocations[0].time) == 60
    assert json.loads(shop.logs("Shop/Function").splitlines()[-1])["source"] == "shop.orders"


def test_a_function_that_permits_only_another_rule_is_not_invoked(bus: Cloud, aws: Deploy) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-resource-based.html"""
    bus.function("Function", ECHO)
    bus.rule("Rule", ORDERS, {"Arn": arn("Function")})
    permit(bus, {"Fn::Sub": "arn:aws:events:${AWS::Region}:${AWS::AccountId}:rule/bus/another"})
    shop = aws()
    publish(shop)
    assert shop.logs("Shop/Function") == ""
    if isinstance(shop, Rehearsal):
        assert [r.detail["error"] for r in shop.meter.of("delivery")] == ["NO_PERMISSIONS"]


def log_target(bus: Cloud, **target: Any) -> Callable[[World], list[str]]:
    """Add a rule that logs, and what lets it; return a reader of the messages."""
    name = {"Fn::Sub": "/aws/events/${AWS::StackName}"}
    bus.add("Group", "AWS::Logs::LogGroup", LogGroupName=name)
    group = {"Fn::Sub": "arn:aws:logs:${AWS::Region}:${AWS::AccountId}:log-group:${Group}"}
    bus.rule("Rule", ORDERS, {"Arn": group, **target})
    bus.add(
        "LogPolicy",
        "AWS::Logs::ResourcePolicy",
        PolicyName={"Fn::Sub": "${AWS::StackName}-events"},
        PolicyDocument={
            "Fn::Join": [
                "",
                [
                    '{"Statement": [{"Effect": "Allow", "Principal": {"Service": ['
                    '"events.amazonaws.com", "delivery.logs.amazonaws.com"]}, "Action": ['
                    '"logs:CreateLogStream", "logs:PutLogEvents"], "Resource": "',
                    arn("Group"),
                    '"}]}',
                ],
            ]
        },
    )

    def read(shop: World) -> list[str]:
        group, client = shop.physical_id("Shop/Group"), shop.client("logs")
        find = client.filter_log_events
        found = eventually(shop, lambda: find(logGroupName=group)["events"])
        return [entry["message"] for entry in found]

    return read


def test_events_are_logged(bus: Cloud, aws: Deploy) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-rule-log-group.html"""
    read = log_target(bus)
    shop = aws()
    publish(shop, event(), event())
    assert [json.loads(text)["source"] for text in read(shop)] == ["shop.orders"] * 2
    if isinstance(shop, Rehearsal):
        assert {record.target for record in shop.meter.of("delivery")} == {"Shop/Group"}


def test_a_transformed_log_entry_is_its_message(bus: Cloud, aws: Deploy) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-rule-log-group.html"""
    read = log_target(
        bus,
        InputTransformer={
            "InputPathsMap": {"time": "$.time", "id": "$.detail.order.id"},
            "InputTemplate": '{"timestamp": <time>, "message": "order <id>"}',
        },
    )
    shop = aws()
    publish(shop)
    assert read(shop) == ["order o-1"]


def test_a_log_group_without_a_policy_for_events_takes_none(bus: Cloud, aws: Deploy) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-resource-based.html"""
    read = log_target(bus)
    del bus.resources["LogPolicy"]
    shop = aws()
    publish(shop)
    assert read(shop) == []
    if isinstance(shop, Rehearsal):
        assert [r.detail["error"] for r in shop.meter.of("delivery")] == ["NO_PERMISSIONS"]


def test_a_state_machine_is_started(bus: Cloud, aws: Deploy) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-targets.html"""
    bus.function("Function", ECHO)
    bus.add(
        "Machine",
        "AWS::StepFunctions::StateMachine",
        RoleArn=arn("Role"),
        DefinitionString=json.dumps(
            {
                "StartAt": "Call",
                "States": {"Call": {"Type": "Task", "Resource": "${function}", "End": True}},
            }
        ),
        DefinitionSubstitutions={"function": arn("Function")},
    )
    bus.rule("Rule", ORDERS, {"Arn": arn("Machine"), "RoleArn": arn("Role")})
    shop = aws()
    publish(shop)
    assert json.loads(shop.logs("Shop/Function"))["source"] == "shop.orders"
    if isinstance(shop, Rehearsal):
        assert [(r.source, r.target) for r in shop.meter.of("invocation")] == [
            ("Shop/Machine", "Shop/Function")
        ]
        assert [r.detail["status"] for r in shop.meter.of("execution")][-1] == "SUCCEEDED"


def test_another_bus_gets_the_event(bus: Cloud, aws: Deploy) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-bus-to-bus.html"""
    bus.bus("Far")
    bus.role("Role")
    bus.rule("Rule", ORDERS, {"Arn": arn("Far"), "RoleArn": arn("Role")})
    bus.rule("FarRule", ORDERS, {"Arn": arn("Queue")}, bus="Far")
    shop = aws()
    publish(shop)
    assert len(bodies(shop)) == 1


def test_an_unknown_target_is_an_error(bus: Cloud, rehearse: Rehearse) -> None:
    bus.rule("Rule", ORDERS, {"Arn": "arn:aws:firehose:eu-central-1:1:deliverystream/x"})
    with pytest.raises(UnsupportedTemplateError, match=r"Rule .*Targets\[0\].*firehose"):
        rehearse()


# -- archives -----------------------------------------------------------------------------


def test_an_archive_keeps_the_events_that_match_it(bus: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-archive.html"""
    bus.add("Archive", "AWS::Events::Archive", SourceArn=arn("Bus"), EventPattern=ORDERS)
    shop = rehearse()
    publish(shop, event(), event(Source="shop.other"), event())
    archive = shop.client("events").describe_archive(ArchiveName=shop.physical_id("Shop/Archive"))
    assert archive["EventCount"] == 2


def test_a_replay_sends_archived_events_of_a_time_to_named_rules(
    bus: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-replay-archived-event.html"""
    bus.queue("Other")
    bus.add("Archive", "AWS::Events::Archive", SourceArn=arn("Bus"))
    bus.rule("Rule", ORDERS, {"Arn": arn("Queue")})
    bus.rule("OtherRule", ORDERS, {"Arn": arn("Other")})
    shop = rehearse()
    publish(shop)
    shop.run_for(3600)
    publish(shop)
    shop.client("events").start_replay(
        ReplayName="again",
        EventSourceArn=shop.resource("Shop/Archive").attributes["Arn"],
        EventStartTime=datetime(2026, 1, 5, 8, 30, tzinfo=UTC),
        EventEndTime=datetime(2026, 1, 5, 9, 30, tzinfo=UTC),
        Destination={
            "Arn": shop.resource("Shop/Bus").attributes["Arn"],
            "FilterArns": [shop.resource("Shop/Rule").attributes["Arn"]],
        },
    )
    shop.run_until_idle()
    *_, replayed = map(json.loads, bodies(shop))
    assert replayed["replay-name"] == "again"
    assert replayed["time"] == "2026-01-05T09:00:00Z"
    assert (len(bodies(shop)), len(bodies(shop, "Shop/Other"))) == (3, 2)
    archive = shop.client("events").describe_archive(ArchiveName=shop.physical_id("Shop/Archive"))
    assert archive["EventCount"] == 2


def test_the_publisher_is_recorded(bus: Cloud, rehearse: Rehearse) -> None:
    bus.function(
        "Function",
        """
        import boto3, os
        def handler(event, context):
            boto3.client("events").put_events(Entries=[{"Source": "s", "DetailType": "t",
                "Detail": "{}", "EventBusName": os.environ["BUS"]}])
        """,
        Environment={"Variables": {"BUS": ref("Bus")}},
    )
    shop = rehearse()
    shop.invoke("Shop/Function", {})
    (record,) = shop.meter.of("published")
    assert (record.source, record.target) == ("Shop/Function", "Shop/Bus")
    assert record.detail["event"]["detail-type"] == "t"
