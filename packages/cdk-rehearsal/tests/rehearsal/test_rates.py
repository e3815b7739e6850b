"""Rates of an account: calls over one fail with AWS's error, and events over one are delayed."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from cdk_rehearsal import Rehearsal, RehearsalError
from cdk_rehearsal.limits import LIMITS, TABLE
from cdk_rehearsal.rates import Rates
from rehearsal import test_http_api, test_rest_api
from rehearsal.cloud import Cloud, arn, ref
from rehearsal.conftest import Rehearse
from rehearsal.crossing import crosses

RATES = {
    "apigateway.requests_per_second": (5_000, 10_000, 1),
    "cognito-idp.creations_per_second": (50, 50, 1),
    "events.invocations_per_second": (4_500, 4_500, 1),
    "events.puts_per_second": (2_400, 2_400, 1),
    "lambda.scaling_per_10_seconds": (1_000, 1_000, 10),
    "scheduler.creations_per_second": (5_000, 5_000, 1),
    "scheduler.invocations_per_second": (1_000, 1_000, 1),
    "ses.sends_per_day": (200, 200, 86_400),
    "ses.sends_per_second": (1, 1, 1),
    "sns.fifo_group_messages_per_second": (300, 300, 1),
    "sns.fifo_messages_per_second": (3_000, 3_000, 1),
    "sns.fifo_topic_bytes_per_second": (20_971_520, 20_971_520, 1),
    "sns.fifo_topic_messages_per_second": (3_000, 3_000, 1),
    "sns.standard_messages_per_second": (1_500, 1_500, 1),
    "stepfunctions.express_starts_per_second": (6_000, 6_000, 1),
    "stepfunctions.standard_starts_per_second": (800, 150, 1),
}
"""At once, and then again after some seconds. The numbers are those of AWS."""

crosses(*RATES)


@pytest.mark.parametrize("limit", RATES)
def test_a_rate_has_room_for_so_much_at_once_and_then_for_so_much_in_each_period(
    limit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    burst, rate, seconds = RATES[limit]
    if TABLE[limit].given:
        monkeypatch.setitem(LIMITS, limit, TABLE[limit].value)
    now = 0.0
    rates = Rates(lambda: now)
    assert [rates.take(limit, burst), rates.take(limit)] == [True, False]
    now = seconds - 0.001 if limit == "ses.sends_per_day" else 0.0001 / rate
    assert not rates.take(limit)
    now = 2.0 * seconds + 1e-6
    again = min(2 * rate, burst)
    assert [rates.take(limit, again), rates.take(limit)] == [True, False]


CALLS = """
    import boto3
    from botocore.config import Config
    from botocore.exceptions import ClientError

    def handler(event, context):
        config = Config(retries={"total_max_attempts": event["attempts"], "mode": "standard"})
        client = boto3.client(event["service"], config=config)
        codes = []
        for parameters in event["calls"]:
            try:
                getattr(client, event["method"])(**parameters)
                codes.append("")
            except ClientError as error:
                codes.append(error.response["Error"]["Code"])
        return codes
"""


@pytest.fixture
def account(template: Cloud) -> Cloud:
    """A function that calls services, and resources for its calls."""
    template.function("Caller", CALLS, Timeout=60)
    template.bus("Bus")
    template.queue("Queue")
    template.add("Topic", "AWS::SNS::Topic")
    for name, scope in (("Fifo", "Topic"), ("Fast", "MessageGroup")):
        template.add(
            name,
            "AWS::SNS::Topic",
            FifoTopic=True,
            ContentBasedDeduplication=True,
            FifoThroughputScope=scope,
        )
    template.add("Pool", "AWS::Cognito::UserPool")
    template.add("Mail", "AWS::SES::EmailIdentity", EmailIdentity="shop.example")
    for kind in ("STANDARD", "EXPRESS"):
        passes = {"StartAt": "A", "States": {"A": {"Type": "Pass", "End": True}}}
        template.add(
            kind.capitalize(),
            "AWS::StepFunctions::StateMachine",
            RoleArn=arn("Role"),
            StateMachineType=kind,
            DefinitionString=json.dumps(passes),
        )
    return template


def put(shop: Rehearsal, _: int) -> Any:
    bus = shop.physical_id("Shop/Bus")
    entry = {"EventBusName": bus, "Source": "s", "DetailType": "k", "Detail": "{}"}
    return "events", "put_events", {"Entries": [entry] * 3}


def schedule(shop: Rehearsal, index: int) -> Any:
    role = shop.resource("Shop/Role", "AWS::IAM::Role").attributes["Arn"]
    queue = shop.resource("Shop/Queue", "AWS::SQS::Queue").attributes["Arn"]
    parameters = {
        "Name": f"schedule{index}",
        "ScheduleExpression": "at(2030-01-01T00:00:00)",
        "FlexibleTimeWindow": {"Mode": "OFF"},
        "Target": {"Arn": queue, "RoleArn": role},
    }
    return "scheduler", "create_schedule", parameters


def user(shop: Rehearsal, index: int) -> Any:
    pool = shop.physical_id("Shop/Pool")
    return "cognito-idp", "admin_create_user", {"UserPoolId": pool, "Username": f"u{index}"}


def mail(shop: Rehearsal, _: int) -> Any:
    content = {"Simple": {"Subject": {"Data": "s"}, "Body": {"Text": {"Data": "b"}}}}
    to = {"ToAddresses": ["a@example.com"], "BccAddresses": ["b@example.com"]}
    parameters = {"FromEmailAddress": "a@shop.example", "Destination": to, "Content": content}
    return "sesv2", "send_email", parameters


def publish(name: str, size: int = 1, group: str = "", batch: int = 0) -> Any:
    """Calls that publish a message, or a batch of them, each different."""

    def call(shop: Rehearsal, index: int) -> Any:
        topic = {"TopicArn": shop.physical_id(f"Shop/{name}")}
        more = {"MessageGroupId": group or f"g{index}"} if name != "Topic" else {}
        entries = [
            {"Message": f"{index} {each} ".ljust(size, "x"), **more} for each in range(batch or 1)
        ]
        if not batch:
            return "sns", "publish", {**topic, **entries[0]}
        named = [{"Id": str(each), **entry} for each, entry in enumerate(entries)]
        return "sns", "publish_batch", {**topic, "PublishBatchRequestEntries": named}

    return call


def start(kind: str) -> Callable[[Rehearsal, int], Any]:
    def call(shop: Rehearsal, _: int) -> Any:
        machine = shop.physical_id(f"Shop/{kind}")
        return "stepfunctions", "start_execution", {"stateMachineArn": machine}

    return call


def codes(
    shop: Rehearsal, call: Callable[[Rehearsal, int], Any], count: int, attempts: int = 1
) -> Any:
    """The errors with which calls by a handler end, at one moment if none is repeated."""
    calls = [call(shop, index) for index in range(count)]
    service, method, _ = calls[0]
    parameters = [each for *_, each in calls]
    event = {"service": service, "method": method, "calls": parameters, "attempts": attempts}
    return shop.invoke("Shop/Caller", event).payload


THROTTLED = "ThrottlingException"


@pytest.mark.parametrize(
    ("limit", "quota", "call", "error"),
    [
        ("events.puts_per_second", 2, put, THROTTLED),
        ("scheduler.creations_per_second", 2, schedule, THROTTLED),
        ("cognito-idp.creations_per_second", 2, user, "TooManyRequestsException"),
        ("ses.sends_per_second", 4, mail, THROTTLED),
        ("ses.sends_per_day", 4, mail, THROTTLED),
        ("stepfunctions.express_starts_per_second", 2, start("Express"), THROTTLED),
        ("sns.standard_messages_per_second", 2, publish("Topic"), "Throttling"),
        ("sns.standard_messages_per_second", 8, publish("Topic", batch=4), "Throttling"),
        ("sns.fifo_messages_per_second", 2, publish("Fifo"), "Throttling"),
        ("sns.fifo_messages_per_second", 8, publish("Fast", batch=4), "Throttling"),
        ("sns.fifo_topic_messages_per_second", 2, publish("Fifo"), "Throttling"),
        ("sns.fifo_topic_bytes_per_second", 250, publish("Fifo", size=100), "Throttling"),
        ("sns.fifo_group_messages_per_second", 2, publish("Fifo", group="g"), "Throttling"),
        ("sns.fifo_group_messages_per_second", 2, publish("Fast", group="g"), "Throttling"),
    ],
)
def test_a_call_over_the_rate_fails_and_the_retries_of_an_sdk_help(
    account: Cloud, rehearse: Rehearse, limit: str, quota: int, call: Any, error: str
) -> None:
    shop = rehearse(quotas={limit: quota})
    assert codes(shop, call, 3) == ["", "", error]
    shop.run_for(86_401)
    shop.client("scheduler").delete_schedule(Name="schedule0") if call is schedule else None
    if "day" not in limit and call not in (schedule, user):
        assert codes(shop, call, 4, attempts=8) == ["", "", "", ""]


def test_a_bucket_of_its_own_size_shrinks_with_its_rate(account: Cloud, rehearse: Rehearse) -> None:
    """Of Standard workflows, 800 can start at once, which is the rate of five seconds and more."""
    shop = rehearse(quotas={"stepfunctions.standard_starts_per_second": 3})
    assert codes(shop, start("Standard"), 17) == [""] * 16 + [THROTTLED]
    assert codes(shop, start("Express"), 1) == [""]
    shop.run_for(1)
    assert codes(shop, start("Standard"), 4) == [""] * 3 + [THROTTLED]


@pytest.mark.parametrize(
    ("limit", "call"),
    [
        ("sns.fifo_messages_per_second", publish("Topic")),
        ("sns.standard_messages_per_second", publish("Fifo")),
        ("sns.fifo_group_messages_per_second", publish("Fifo")),
        ("sns.fifo_topic_messages_per_second", publish("Fast")),
        ("sns.fifo_topic_bytes_per_second", publish("Fast", size=100)),
    ],
)
def test_a_rate_of_topics_is_for_its_own_kind_of_them(
    account: Cloud, rehearse: Rehearse, limit: str, call: Any
) -> None:
    """https://docs.aws.amazon.com/general/latest/gr/sns.html"""
    assert codes(rehearse(quotas={limit: 2}), call, 5) == [""] * 5


def test_a_batch_over_the_rate_publishes_nothing(account: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/general/latest/gr/sns.html"""
    account.add(
        *("Subscription", "AWS::SNS::Subscription"),
        TopicArn=ref("Topic"),
        Protocol="email",
        Endpoint="a@shop.example",
    )
    shop = rehearse(quotas={"sns.standard_messages_per_second": 3})
    assert codes(shop, publish("Topic", batch=4), 1) == ["Throttling"]
    assert codes(shop, publish("Topic", batch=3), 1) == [""]
    assert len(shop.meter.of("delivery")) == 3


def test_a_message_over_one_rate_does_not_count_for_another(
    account: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/general/latest/gr/sns.html"""
    limits = {"sns.fifo_group_messages_per_second": 1, "sns.fifo_messages_per_second": 3}
    shop = rehearse(quotas=limits)
    in_turn = [publish("Fast", group=group) for group in ("g", "g", "h", "i", "j")]
    found = codes(shop, lambda shop, index: in_turn[index](shop, index), len(in_turn))
    assert found == ["", "Throttling", "", "", "Throttling"]


def test_without_a_quota_e_mails_have_no_rate(account: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/ses/latest/dg/quotas.html"""
    assert codes(rehearse(), mail, 210) == [""] * 210


def test_a_rate_of_nothing_is_refused(account: Cloud, rehearse: Rehearse) -> None:
    with pytest.raises(RehearsalError, match=r"ses\.sends_per_second is 0: give .* from 1"):
        rehearse(quotas={"ses.sends_per_second": 0})


@pytest.mark.parametrize("target", ["Queue", "Standard"])
def test_events_over_the_rate_of_invocations_are_delayed(
    account: Cloud, rehearse: Rehearse, target: str
) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-quota.html"""
    role = {} if target == "Queue" else {"RoleArn": arn("Role")}
    to = arn("Queue") if target == "Queue" else ref("Standard")
    account.rule("Rule", {"source": ["s"]}, {"Arn": to, **role})
    shop = rehearse(quotas={"events.invocations_per_second": 2})
    began = shop.clock.now()
    codes(shop, put, 3)
    shop.run_until_idle()
    delivered = [round(each.time - began, 1) for each in shop.meter.of("delivery")]
    assert delivered == [0, 0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5]


def test_schedules_over_the_rate_of_invocations_are_delayed(
    account: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/scheduler/latest/UserGuide/scheduler-quotas.html"""
    shop = rehearse(quotas={"scheduler.invocations_per_second": 1})
    for index in range(3):
        _, _, parameters = schedule(shop, index)
        at = {"ScheduleExpression": "at(2026-01-05T08:10:00)"}
        shop.client("scheduler").create_schedule(**parameters | at)
    shop.run_for(700)
    delivered = [each.time for each in shop.meter.of("delivery")]
    assert [moment - delivered[0] for moment in delivered] == [0, 1, 2]


def test_a_rule_whose_execution_is_throttled_tries_again(
    account: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-retry-policy.html"""
    account.rule("Rule", {"source": ["s"]}, {"Arn": ref("Express"), "RoleArn": arn("Role")})
    shop = rehearse(quotas={"stepfunctions.express_starts_per_second": 1})
    codes(shop, put, 4)
    shop.run_until_idle()
    outcomes = [each.detail["outcome"] for each in shop.meter.of("delivery")]
    assert outcomes.count("delivered") == 12
    assert "failed" in outcomes


def test_all_apis_of_an_account_have_one_rate(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html"""
    test_http_api.echo(template)
    shop = rehearse(quotas={"apigateway.requests_per_second": 10})
    statuses = [shop.http.request("GET", "/a").status for _ in range(7)]
    assert statuses == [200] * 5 + [429] * 2
    shop.run_for(1)
    assert shop.http.request("GET", "/a").status == 200


def test_a_rest_api_counts_as_well(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html"""
    test_rest_api.api(template)
    test_rest_api.method(template, "Get", "GET")
    shop = rehearse(quotas={"apigateway.requests_per_second": 2})
    assert [shop.http.request("GET", "/").status for _ in range(2)] == [200, 429]


def test_a_function_gets_only_so_many_new_environments(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/scaling-behavior.html"""
    template.function("Slow", "import time\ndef handler(event, context): time.sleep(2)")
    template.function("Other", "import time\ndef handler(event, context): time.sleep(2)")
    shop = rehearse(quotas={"lambda.scaling_per_10_seconds": 5})
    for name in ("Slow", "Other"):
        function = shop.physical_id(f"Shop/{name}")
        for _ in range(7):
            shop.client("lambda").invoke(FunctionName=function, InvocationType="Event")
    shop.run_for(0.5)
    for name in ("Shop/Slow", "Shop/Other"):
        assert len(shop.meter.of("throttle", target=name)) == 2
    shop.run_until_idle()
    assert len(shop.meter.of("invocation", target="Shop/Slow")) == 7
