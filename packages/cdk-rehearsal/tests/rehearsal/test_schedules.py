"""EventBridge Scheduler: when schedules fire, what targets get, and what happens on failure."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from itertools import islice, pairwise
from typing import Any

import pytest

from cdk_rehearsal import Rehearsal, RehearsalError, Signal, UnsupportedTemplateError
from cdk_rehearsal.latency import Latency
from cdk_rehearsal.services.recurrence import InvalidExpression, parse
from rehearsal.cloud import Cloud, arn, ref
from rehearsal.conftest import Rehearse

ECHO = "import json\ndef handler(event, context): print(json.dumps(event))"


@pytest.fixture
def clock(template: Cloud) -> Cloud:
    """A queue, a role that may send to it, and a dead-letter queue; a rehearsal begins at 08:00."""
    template.add("Queue", "AWS::SQS::Queue")
    template.add("Dead", "AWS::SQS::Queue")
    role(template, allow("sqs:SendMessage", "Queue", "Dead"))
    return template


def allow(action: str, *targets: str) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": [arn(name) for name in targets]}


def role(
    template: Cloud, *statements: dict[str, Any], principal: str = "scheduler.amazonaws.com"
) -> None:
    trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": principal}}
    template.add(
        "ScheduleRole",
        "AWS::IAM::Role",
        AssumeRolePolicyDocument={"Version": "2012-10-17", "Statement": [trust]},
    )
    template.add(
        "ScheduleRolePolicy",
        "AWS::IAM::Policy",
        PolicyName="policy",
        Roles=[ref("ScheduleRole")],
        PolicyDocument={"Version": "2012-10-17", "Statement": list(statements)},
    )


def schedule(
    template: Cloud,
    expression: str,
    *,
    target: dict[str, Any] | None = None,
    **properties: Any,
) -> None:
    template.add(
        "Schedule",
        "AWS::Scheduler::Schedule",
        ScheduleExpression=expression,
        FlexibleTimeWindow=properties.pop("FlexibleTimeWindow", {"Mode": "OFF"}),
        Target={
            "Arn": arn("Queue"),
            "RoleArn": arn("ScheduleRole"),
            "Input": "wake up",
            **(target or {}),
        },
        **properties,
    )


def create(shop: Rehearsal, expression: str = "at(2026-01-05T09:00:00)", **changes: Any) -> None:
    """Create a schedule as a handler does."""
    shop.client("scheduler").create_schedule(**request(shop, expression, **changes))


def request(shop: Rehearsal, expression: str, **changes: Any) -> dict[str, Any]:
    return {
        "Name": "reminder",
        "ScheduleExpression": expression,
        "FlexibleTimeWindow": {"Mode": "OFF"},
        "Target": {
            "Arn": shop.resource("Shop/Queue").attributes["Arn"],
            "RoleArn": shop.resource("Shop/ScheduleRole").attributes["Arn"],
            "Input": "wake up",
        },
        **changes,
    }


def bodies(shop: Rehearsal, path: str = "Shop/Queue") -> list[str]:
    return [message["body"] for message in shop.messages(path)]


def fired(shop: Rehearsal, path: str = "Shop/Schedule") -> list[str]:
    """Return the times of the day at which a schedule was delivered."""
    return [
        datetime.fromtimestamp(record.time, UTC).strftime("%H:%M:%S")
        for record in shop.meter.of("delivery", source=path)
    ]


# -- expressions --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "times"),
    [
        ("at(2026-01-05T09:30:15)", ["2026-01-05T09:30:15"]),
        ("at(2026-01-05T07:59:59)", []),
        ("rate(1 minute)", ["2026-01-05T08:00:30", "2026-01-05T08:01:30", "2026-01-05T08:02:30"]),
        ("rate(2 days)", ["2026-01-05T08:00:30", "2026-01-07T08:00:30", "2026-01-09T08:00:30"]),
        ("cron(0 8 * * ? *)", ["2026-01-06T08:00", "2026-01-07T08:00", "2026-01-08T08:00"]),
        ("cron(0/20 8 5 1 ? 2026)", ["2026-01-05T08:20", "2026-01-05T08:40"]),
        ("cron(*/30 8,9 5 1 ? 2026)", ["2026-01-05T08:30", "2026-01-05T09:00", "2026-01-05T09:30"]),
        ("cron(0 9 ? * MON-FRI *)", ["2026-01-05T09:00", "2026-01-06T09:00", "2026-01-07T09:00"]),
        ("cron(0 9 ? * 1 *)", ["2026-01-11T09:00", "2026-01-18T09:00", "2026-01-25T09:00"]),
        ("cron(15 10 L * ? *)", ["2026-01-31T10:15", "2026-02-28T10:15", "2026-03-31T10:15"]),
        ("cron(15 10 ? * 6L 2026)", ["2026-01-30T10:15", "2026-02-27T10:15", "2026-03-27T10:15"]),
        ("cron(15 10 ? * 2#1 *)", ["2026-01-05T10:15", "2026-02-02T10:15", "2026-03-02T10:15"]),
        ("cron(0 0 15W FEB,MAR ? *)", ["2026-02-16T00:00", "2026-03-16T00:00", "2027-02-15T00:00"]),
        ("cron(0 0 1W AUG ? 2026)", ["2026-08-03T00:00"]),
        ("cron(0 0 31W MAY ? 2026)", ["2026-05-29T00:00"]),
        ("cron(0 0 29 2 ? *)", ["2028-02-29T00:00", "2032-02-29T00:00", "2036-02-29T00:00"]),
        ("cron(0 0 30 2 ? *)", []),
    ],
)
def test_an_expression_says_when(expression: str, times: list[str]) -> None:
    """https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html"""
    start = datetime(2026, 1, 5, 8, 0, 30, tzinfo=UTC).timestamp()
    expected = [datetime.fromisoformat(time).replace(tzinfo=UTC).timestamp() for time in times]
    assert list(islice(parse(expression).times(start), 3)) == expected


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "often",
        "at(2026-01-05)",
        "at(2026-01-05T08:00:00Z)",
        "at(2026-13-05T08:00:00)",
        "rate(0 minutes)",
        "rate(5 seconds)",
        "rate(5)",
        "cron(0 8 * * *)",
        "cron(0 8 * * * *)",
        "cron(0 8 ? * ? *)",
        "cron(60 8 * * ? *)",
        "cron(0 9-8 * * ? *)",
        "cron(0 8 32 * ? *)",
        "cron(0 8 ? * NOW *)",
        "cron(0 8 ? * 2#6 *)",
        "cron(0/0 8 * * ? *)",
    ],
)
def test_a_wrong_expression_is_refused(expression: str) -> None:
    """https://docs.aws.amazon.com/scheduler/latest/APIReference/API_CreateSchedule.html"""
    with pytest.raises(InvalidExpression):
        parse(expression)


# -- firing -------------------------------------------------------------------------------


def test_a_schedule_is_no_work_until_it_fires(clock: Cloud, rehearse: Rehearse) -> None:
    schedule(clock, "at(2026-01-05T09:00:00)")
    shop = rehearse()
    shop.run_until_idle()
    assert shop.scheduler.now() == datetime(2026, 1, 5, 8, tzinfo=UTC).timestamp()
    assert bodies(shop) == []
    shop.run_for(3599)
    assert bodies(shop) == []
    shop.run_for(1)
    assert bodies(shop) == ["wake up"]
    assert [(r.kind, r.source, r.target) for r in shop.meter.records] == [
        ("delivery", "Shop/Schedule", "Shop/Queue")
    ]


def test_what_a_schedule_has_fired_is_work(clock: Cloud, rehearse: Rehearse) -> None:
    """What it sets going is waited for, however long it takes."""
    schedule(clock, "at(2026-01-05T09:00:00)")
    shop = rehearse()
    shop.faults.fail("Shop/Queue", when="delivery", times=5)
    shop.run_for(3600)
    assert bodies(shop) == []
    shop.run_until_idle()
    assert bodies(shop) == ["wake up"]


def test_a_rate_begins_at_once_or_at_its_start_date_and_stops_at_its_end_date(
    clock: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html#rate-based"""
    schedule(clock, "rate(1 hour)", EndDate="2026-01-05T10:30:00Z")
    shop = rehearse()
    create(shop, "rate(2 hours)", StartDate=datetime(2026, 1, 5, 9, tzinfo=UTC))
    shop.run_for(5 * 3600)
    assert fired(shop) == ["08:00:00", "09:00:00", "10:00:00"]
    assert fired(shop, "reminder") == ["09:00:00", "11:00:00", "13:00:00"]


def test_a_stuck_process_is_noticed_though_a_schedule_goes_on(
    clock: Cloud, rehearse: Rehearse
) -> None:
    schedule(clock, "rate(1 minute)")
    shop = rehearse()
    with pytest.raises(RehearsalError, match="can no longer happen"):
        shop.run(Signal(shop.scheduler).wait)


def test_a_disabled_schedule_does_not_fire(clock: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule.html"""
    schedule(clock, "rate(1 hour)", State="DISABLED")
    shop = rehearse()
    shop.run_for(86_400)
    assert bodies(shop) == []


def test_a_schedule_fires_within_a_minute_or_its_window_by_the_seed(
    clock: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule-flexible-time-windows.html"""
    window = {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 30}
    schedule(clock, "rate(1 hour)", FlexibleTimeWindow=window)
    shop = rehearse(latency=Latency())
    create(shop, "rate(1 hour)", Name="precise")
    shop.run_for(5 * 3600)
    delays = {
        path: [record.time % 3600 for record in shop.meter.of("delivery", source=path)]
        for path in ("Shop/Schedule", "precise")
    }
    assert len(set(delays["precise"])) == len(set(delays["Shop/Schedule"])) == 5
    assert max(delays["precise"]) < 60 < max(delays["Shop/Schedule"]) < 1800


# -- targets ------------------------------------------------------------------------------


def test_the_input_is_given_what_the_target_may_want_to_know(
    clock: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule-context-attributes.html"""
    names = ("execution-id", "scheduled-time", "schedule-arn", "attempt-number")
    text = json.dumps({name: f"<aws.scheduler.{name}>" for name in names})
    schedule(clock, "at(2026-01-05T09:00:00)", target={"Input": text})
    shop = rehearse(latency=Latency())
    shop.faults.fail("Shop/Queue", when="delivery")
    shop.run_for(7200)
    (body,) = bodies(shop)
    values = json.loads(body)
    assert len(values.pop("execution-id")) == 20
    assert values == {
        "scheduled-time": "2026-01-05T09:00:00Z",
        "schedule-arn": shop.resource("Shop/Schedule").attributes["Arn"],
        "attempt-number": "2",
    }


def test_without_an_input_a_target_is_told_that_a_schedule_has_fired(
    clock: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/scheduler/latest/APIReference/API_Target.html"""
    schedule(clock, "at(2026-01-05T09:00:00)")
    del clock.resources["Schedule"]["Properties"]["Target"]["Input"]
    shop = rehearse()
    shop.run_for(3600)
    event = json.loads(bodies(shop)[0])
    assert event["detail-type"] == "Scheduled Event"
    assert event["time"] == "2026-01-05T09:00:00Z"
    assert event["resources"] == [shop.resource("Shop/Schedule").attributes["Arn"]]


def test_a_function_is_invoked_asynchronously(template: Cloud, rehearse: Rehearse) -> None:
    """It is tried again by Lambda, not by the schedule.

    https://docs.aws.amazon.com/lambda/latest/dg/with-eventbridge-scheduler.html
    """
    template.function("Function", "def handler(event, context): print(event['a'])")
    role(template, allow("lambda:InvokeFunction", "Function"))
    schedule(
        template,
        "at(2026-01-05T09:00:00)",
        target={"Arn": arn("Function"), "Input": '{"a": "hello"}'},
    )
    shop = rehearse()
    shop.faults.fail("Shop/Function")
    shop.run_for(3600)
    shop.run_until_idle()
    assert shop.logs("Shop/Function").endswith("hello\n")
    runs = shop.meter.of("invocation", source="Shop/Schedule", target="Shop/Function")
    assert [run.detail["type"] for run in runs] == ["async", "async"]
    assert len(shop.meter.of("delivery")) == 1


def test_a_state_machine_is_started(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-targets-templated.html"""
    template.function("Function", ECHO)
    definition = {
        "StartAt": "Task",
        "States": {"Task": {"Type": "Task", "Resource": arn("Function"), "End": True}},
    }
    template.add(
        "Machine",
        "AWS::StepFunctions::StateMachine",
        Definition=definition,
        RoleArn=arn("Role"),
    )
    role(template, allow("states:StartExecution", "Machine"))
    schedule(template, "rate(1 hour)", target={"Arn": arn("Machine"), "Input": '{"hour": "next"}'})
    shop = rehearse()
    shop.run_for(3600)
    assert shop.logs("Shop/Function") == '{"hour": "next"}\n' * 2


def test_a_topic_and_a_bus_are_targets(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-targets-templated.html"""
    template.queue("Heard")
    topic = {"Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}}
    policy = template.resources["HeardPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    policy.append({**topic, "Action": "sqs:SendMessage", "Resource": arn("Heard")})
    template.add("Topic", "AWS::SNS::Topic")
    template.add(
        "Send",
        "AWS::SNS::Subscription",
        TopicArn=ref("Topic"),
        Protocol="sqs",
        Endpoint=arn("Heard"),
        RawMessageDelivery=True,
    )
    template.add("Bus", "AWS::Events::EventBus", Name="bus")
    template.rule("Rule", {"source": ["clock"]}, {"Arn": arn("Heard"), "InputPath": "$.detail"})
    every = {"Effect": "Allow", "Action": ["sns:Publish", "events:PutEvents"], "Resource": "*"}
    role(template, every)
    schedule(template, "at(2026-01-05T09:00:00)", target={"Arn": ref("Topic")})
    template.resources["Second"] = json.loads(json.dumps(template.resources["Schedule"]))
    parameters = {"Source": "clock", "DetailType": "tick"}
    template.resources["Second"]["Properties"]["Target"].update(
        Arn=arn("Bus"), Input='{"at": "nine"}', EventBridgeParameters=parameters
    )
    shop = rehearse()
    shop.run_for(3700)
    assert sorted(bodies(shop, "Shop/Heard")) == ["wake up", '{"at":"nine"}']


@pytest.mark.parametrize(
    "target",
    [
        {"Arn": "arn:aws:scheduler:::aws-sdk:sqs:deleteQueue"},
        {"EcsParameters": {"TaskCount": 1}},
        {"SqsParameters": {"Flavour": "sweet"}},
    ],
)
def test_a_target_that_is_not_known_is_an_error(
    clock: Cloud, rehearse: Rehearse, target: dict[str, Any]
) -> None:
    schedule(clock, "rate(1 hour)", target=target)
    with pytest.raises(RehearsalError, match="Schedule"):
        rehearse()


def test_what_is_not_known_of_a_schedule_is_an_error(clock: Cloud, rehearse: Rehearse) -> None:
    schedule(clock, "rate(1 hour)", target={"RetryPolicy": {"Patience": 3}})
    with pytest.raises(
        UnsupportedTemplateError, match=r"Schedule .*RetryPolicy: unknown property Patience"
    ):
        rehearse()


def test_another_time_zone_is_an_error(clock: Cloud, rehearse: Rehearse) -> None:
    schedule(clock, "rate(1 hour)", ScheduleExpressionTimezone="Europe/Berlin")
    with pytest.raises(RehearsalError, match="schedules in UTC only"):
        rehearse()


# -- roles --------------------------------------------------------------------------------


def test_a_role_that_the_scheduler_cannot_assume_is_refused(
    template: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/scheduler/latest/UserGuide/setting-up.html"""
    template.add("Queue", "AWS::SQS::Queue")
    role(template, allow("sqs:SendMessage", "Queue"), principal="events.amazonaws.com")
    schedule(template, "rate(1 hour)")
    with pytest.raises(RehearsalError, match=r"Schedule .*must allow .* to assume the role"):
        rehearse()


def test_a_role_may_be_meant_for_one_group_of_schedules(clock: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/scheduler/latest/UserGuide/cross-service-confused-deputy-prevention.html"""
    clock.add("Group", "AWS::Scheduler::ScheduleGroup", Name="deadlines")
    trust = clock.resources["ScheduleRole"]["Properties"]["AssumeRolePolicyDocument"]
    trust["Statement"][0]["Condition"] = {"StringEquals": {"aws:SourceArn": arn("Group")}}
    shop = rehearse()
    create(shop, GroupName="deadlines")
    client = shop.client("scheduler")
    with pytest.raises(client.exceptions.ValidationException, match="assume the role"):
        create(shop)


def test_without_permission_a_schedule_goes_to_its_dead_letter_queue_at_once(
    template: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/scheduler/latest/UserGuide/configuring-schedule-dlq.html"""
    for name in ("Queue", "Dead"):
        template.add(name, "AWS::SQS::Queue")
    role(template, allow("sqs:SendMessage", "Dead"), allow("sqs:ReceiveMessage", "Queue"))
    schedule(template, "at(2026-01-05T09:00:00)", target={"DeadLetterConfig": {"Arn": arn("Dead")}})
    shop = rehearse()
    shop.run_for(3600)
    assert [r.detail["error"] for r in shop.meter.of("delivery")] == ["AccessDeniedException"]
    assert len(bodies(shop, "Shop/Dead")) == 1


@pytest.mark.parametrize(
    ("statements", "delivered"),
    [
        ([{"Effect": "Allow", "Action": "sqs:Send*", "Resource": "*"}], 1),
        ([{"Effect": "Allow", "Action": "sqs:*", "Resource": arn("Dead")}], 0),
        (
            [
                {"Effect": "Allow", "Action": "*", "Resource": "*"},
                {"Effect": "Deny", "Action": "sqs:SendMessage", "Resource": arn("Queue")},
            ],
            0,
        ),
        ([], 0),
    ],
)
def test_all_that_a_role_may_and_may_not_do_counts(
    clock: Cloud, rehearse: Rehearse, statements: list[dict[str, Any]], delivered: int
) -> None:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html"""
    if statements:
        document = clock.resources["ScheduleRolePolicy"]["Properties"]["PolicyDocument"]
        document["Statement"] = statements
    else:
        del clock.resources["ScheduleRolePolicy"]
    schedule(clock, "at(2026-01-05T09:00:00)")
    shop = rehearse()
    shop.run_for(3600)
    assert len(bodies(shop)) == delivered


# -- failure ------------------------------------------------------------------------------


def test_after_its_retries_a_schedule_goes_to_its_dead_letter_queue(
    clock: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/scheduler/latest/UserGuide/configuring-schedule-dlq.html"""
    schedule(
        clock,
        "at(2026-01-05T09:00:00)",
        target={
            "DeadLetterConfig": {"Arn": arn("Dead")},
            "RetryPolicy": {"MaximumRetryAttempts": 2},
        },
    )
    shop = rehearse()
    assert shop.dead_letter_queues() == ["Shop/Dead"]
    shop.faults.fail("Shop/Queue", when="delivery", times=None)
    shop.run_for(3600)
    shop.run_until_idle()
    (message,) = shop.messages("Shop/Dead")
    assert message["body"] == "wake up"
    attributes = message["attributes"]
    assert len(attributes.pop("EXECUTION_ID")) == 20
    assert attributes == {
        "ERROR_CODE": "SdkClientException",
        "ERROR_MESSAGE": "Shop/Queue",
        "EXHAUSTED_RETRY_CONDITION": "MaximumRetryAttempts",
        "IS_PAYLOAD_TRUNCATED": "false",
        "RETRY_ATTEMPTS": "2",
        "SCHEDULED_TIME": "2026-01-05T09:00:00Z",
        "SCHEDULE_ARN": shop.resource("Shop/Schedule").attributes["Arn"],
        "TARGET_ARN": shop.resource("Shop/Queue").attributes["Arn"],
    }
    records = shop.meter.of("delivery", source="Shop/Schedule", target="Shop/Queue")
    assert [record.detail["outcome"] for record in records] == ["failed"] * 3
    waits = [after.time - before.time for before, after in pairwise(records)]
    assert 0.5 <= waits[0] < waits[1] <= 2
    (dead,) = shop.meter.of("dead_letter")
    assert (dead.source, dead.target) == ("Shop/Schedule", "Shop/Dead")


def test_a_schedule_is_given_up_at_its_greatest_age(clock: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/scheduler/latest/APIReference/API_RetryPolicy.html"""
    retry = {"RetryPolicy": {"MaximumEventAgeInSeconds": "60"}}
    schedule(clock, "at(2026-01-05T09:00:00)", target=retry)
    shop = rehearse()
    shop.faults.fail("Shop/Queue", when="delivery", times=None)
    shop.run_for(3700)
    shop.run_until_idle()
    first, *_, last = shop.meter.of("delivery")
    assert last.time - first.time <= 60
    (lost,) = shop.meter.of("discarded", source="Shop/Schedule")
    assert lost.detail["condition"] == "MaximumEventAgeInSeconds"


def test_a_dead_letter_queue_that_the_role_may_not_send_to_loses_the_event(
    template: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/scheduler/latest/UserGuide/configuring-schedule-dlq.html"""
    for name in ("Queue", "Dead"):
        template.add(name, "AWS::SQS::Queue")
    role(template, allow("sqs:SendMessage", "Queue"))
    target = {
        "DeadLetterConfig": {"Arn": arn("Dead")},
        "RetryPolicy": {"MaximumRetryAttempts": 0},
    }
    schedule(template, "at(2026-01-05T09:00:00)", target=target)
    shop = rehearse()
    shop.faults.fail("Shop/Queue", when="delivery")
    shop.run_for(3600)
    assert bodies(shop, "Shop/Dead") == []
    assert len(shop.meter.of("discarded", source="Shop/Schedule")) == 1


# -- schedules made by handlers -----------------------------------------------------------


def test_a_handler_makes_and_takes_back_a_schedule(clock: Cloud, rehearse: Rehearse) -> None:
    """The record of the call, and of the delivery, names the group."""
    clock.add("Group", "AWS::Scheduler::ScheduleGroup")
    clock.function(
        "Function",
        """
        import boto3

        def handler(event, context):
            client = boto3.client("scheduler")
            getattr(client, event.pop("operation"))(**event)
        """,
    )
    shop = rehearse()
    group = {"GroupName": shop.physical_id("Shop/Group")}
    one = request(shop, "at(2026-01-05T09:00:00)", **group)
    two = {**one, "Name": "another"}
    for event in (one, two):
        shop.invoke("Shop/Function", {"operation": "create_schedule", **event})
    shop.invoke("Shop/Function", {"operation": "delete_schedule", "Name": "reminder", **group})
    shop.run_for(3600)
    assert bodies(shop) == ["wake up"]
    (delivery,) = shop.meter.of("delivery")
    assert (delivery.source, delivery.detail["schedule"]) == ("Shop/Group", "another")
    assert {call.target for call in shop.meter.of("call")} == {"Shop/Group"}


def test_a_name_is_taken_within_its_group(clock: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/scheduler/latest/APIReference/API_CreateSchedule.html"""
    clock.add("Group", "AWS::Scheduler::ScheduleGroup", Name="deadlines")
    shop = rehearse()
    errors = shop.client("scheduler").exceptions
    create(shop)
    create(shop, GroupName="deadlines")
    with pytest.raises(errors.ConflictException):
        create(shop, "at(2026-01-05T10:00:00)")
    with pytest.raises(errors.ResourceNotFoundException):
        create(shop, GroupName="nobody-made-it")
    with pytest.raises(errors.ConflictException):
        shop.client("scheduler").create_schedule_group(Name="deadlines")
    shop.run_for(7200)
    assert len(bodies(shop)) == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ScheduleExpression": "now"}, "Invalid Schedule Expression"),
        ({"ScheduleExpression": "at(2026-01-05T07:59:59)"}, "Invalid Schedule Expression"),
        ({"FlexibleTimeWindow": {"Mode": "FLEXIBLE"}}, "MaximumWindowInMinutes"),
    ],
)
def test_what_the_service_refuses_is_refused(
    clock: Cloud, rehearse: Rehearse, changes: dict[str, Any], message: str
) -> None:
    """https://docs.aws.amazon.com/scheduler/latest/APIReference/API_CreateSchedule.html"""
    shop = rehearse()
    client = shop.client("scheduler")
    with pytest.raises(client.exceptions.ValidationException, match=message):
        client.create_schedule(**{**request(shop, "rate(1 hour)"), **changes})
    assert client.list_schedules()["Schedules"] == []


def test_an_updated_schedule_fires_at_its_new_time_only(clock: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/scheduler/latest/APIReference/API_UpdateSchedule.html"""
    shop = rehearse()
    create(shop)
    shop.client("scheduler").update_schedule(**request(shop, "at(2026-01-05T10:00:00)"))
    shop.run_for(86_400)
    assert fired(shop, "reminder") == ["10:00:00"]


@pytest.mark.parametrize(("action", "left"), [("DELETE", []), ("NONE", ["reminder"])])
def test_a_completed_schedule_is_deleted_if_it_says_so(
    clock: Cloud, rehearse: Rehearse, action: str, left: list[str]
) -> None:
    """https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule-delete.html"""
    shop = rehearse()
    client = shop.client("scheduler")
    create(shop, ActionAfterCompletion=action)
    shop.faults.fail("Shop/Queue", when="delivery")
    shop.run_for(3600)
    assert [s["Name"] for s in client.list_schedules()["Schedules"]] == ["reminder"]
    shop.run_until_idle()
    assert bodies(shop) == ["wake up"]
    assert [s["Name"] for s in client.list_schedules()["Schedules"]] == left


def test_a_recurring_schedule_is_deleted_after_its_last_time(
    clock: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule-delete.html"""
    shop = rehearse()
    end = datetime(2026, 1, 5, 9, 30, tzinfo=UTC)
    create(shop, "rate(1 hour)", EndDate=end, ActionAfterCompletion="DELETE")
    client = shop.client("scheduler")
    shop.run_for(1800)
    assert len(client.list_schedules()["Schedules"]) == 1
    shop.run_for(1800)
    assert client.list_schedules()["Schedules"] == []
    assert fired(shop, "reminder") == ["08:00:00", "09:00:00"]


def test_a_schedule_that_was_disabled_meanwhile_is_not_completed(
    clock: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule-delete.html"""
    shop = rehearse()
    client = shop.client("scheduler")
    shop.faults.fail("Shop/Queue", when="delivery", times=3)
    create(shop, "rate(1 hour)", ActionAfterCompletion="DELETE")
    shop.run_for(1)
    changes = {"State": "DISABLED", "ActionAfterCompletion": "DELETE"}
    client.update_schedule(**request(shop, "rate(1 hour)", **changes))
    shop.run_until_idle()
    assert bodies(shop) == ["wake up"]
    assert [s["State"] for s in client.list_schedules()["Schedules"]] == ["DISABLED"]


def test_a_deleted_group_takes_its_schedules_along(clock: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/scheduler/latest/APIReference/API_DeleteScheduleGroup.html"""
    clock.add("Group", "AWS::Scheduler::ScheduleGroup", Name="deadlines")
    shop = rehearse()
    create(shop, GroupName="deadlines")
    shop.client("scheduler").delete_schedule_group(Name="deadlines")
    shop.run_for(86_400)
    assert bodies(shop) == []
