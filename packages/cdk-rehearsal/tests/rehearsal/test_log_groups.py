"""CloudWatch Logs: what operators read of functions, workflows and HTTP APIs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from cdk_rehearsal import Rehearsal
from rehearsal.cloud import Cloud, arn, ref
from rehearsal.conftest import Rehearse

START_MS = 1_767_600_000_000

TALKER = """
    import json, logging, time
    def handler(event, context):
        print(json.dumps({"level": "INFO", "n": event["n"]}))
        time.sleep(event["n"])
        print("first\\nsecond")
        print("half, ", end="")
        print("whole")
        logging.warning("low on %s", "mugs")
        if event["n"] > 2: raise ValueError("too many")
"""


def filtered(shop: Rehearsal, group: str, **options: Any) -> list[str]:
    events = shop.client("logs").filter_log_events(logGroupName=group, **options)["events"]
    return [event["message"] for event in events]


def refusal(call: Any, **parameters: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as raised:
        call(**parameters)
    error = raised.value.response["Error"]
    return str(error["Code"]), str(error["Message"])


@pytest.fixture(params=["memory", "files"])
def talker(
    request: pytest.FixtureRequest, template: Cloud, rehearse: Rehearse, tmp_path: Path
) -> Rehearsal:
    """A function with a log group of its own, whose log is kept in memory or in a file."""
    template.add("Log", "AWS::Logs::LogGroup")
    template.function("Talker", TALKER, Timeout=20, LoggingConfig={"LogGroup": ref("Log")})
    return rehearse(logs=tmp_path / "logs" if request.param == "files" else None)


@pytest.mark.parametrize(
    ("logging", "n", "reports"),
    [
        ({"LogFormat": "JSON"}, 2, [("success", None, 2000)]),
        ({"LogFormat": "JSON"}, 3, [("error", "ValueError", 3000)]),
        (
            {"LogFormat": "JSON", "SystemLogLevel": "INFO"},
            30,
            [("timeout", "Sandbox.Timedout", 20000)],
        ),
        ({"LogFormat": "JSON", "SystemLogLevel": "WARN"}, 2, []),
    ],
)
def test_a_log_in_json_has_a_report_of_each_invocation(
    template: Cloud,
    rehearse: Rehearse,
    logging: dict[str, str],
    n: int,
    reports: list[tuple[str, str | None, int]],
) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-logformat.html"""
    template.function("Talker", TALKER, Timeout=20, LoggingConfig=logging)
    shop = rehearse()
    answer = shop.invoke("Shop/Talker", {"n": n})
    group = f"/aws/lambda/{shop.physical_id('Shop/Talker')}"
    pattern = '{ $.type = "platform.report" }'
    found = [json.loads(each) for each in filtered(shop, group, filterPattern=pattern)]
    assert [
        (each["record"]["status"], each["record"].get("errorType"), duration)
        for each in found
        for duration in [each["record"]["metrics"]["durationMs"]]
    ] == reports
    assert [each["record"]["requestId"] for each in found] == [answer.request_id] * len(reports)


def test_each_line_of_a_handler_is_an_event_at_its_virtual_time(talker: Rehearsal) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs.html"""
    talker.invoke("Shop/Talker", {"n": 2})
    group = talker.physical_id("Shop/Log")
    events = talker.client("logs").filter_log_events(logGroupName=group)["events"]
    assert [(event["timestamp"] - START_MS, event["message"]) for event in events] == [
        (0, '{"level": "INFO", "n": 2}'),
        (2000, "first"),
        (2000, "second"),
        (2000, "half, whole"),
        (2000, "[WARNING] root low on mugs"),
    ]


def test_lines_are_read_once_however_often_a_client_asks(talker: Rehearsal) -> None:
    group = talker.physical_id("Shop/Log")
    for number in (1, 2):
        talker.invoke("Shop/Talker", {"n": number})
        found = filtered(talker, group, filterPattern="{ $.n = * }")
        assert len(found) == number


def test_an_error_that_ends_an_invocation_is_an_event(talker: Rehearsal) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs.html"""
    talker.invoke("Shop/Talker", {"n": 3})
    found = filtered(talker, talker.physical_id("Shop/Log"), filterPattern="ERROR")
    assert found[0] == "[ERROR] ValueError: too many"


def test_events_are_filtered_by_pattern_time_and_stream(talker: Rehearsal) -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_FilterLogEvents.html"""
    group = talker.physical_id("Shop/Log")
    for number in (1, 2):
        talker.invoke("Shop/Talker", {"n": number})
    assert filtered(talker, group, filterPattern="{ $.n > 1 }") == ['{"level": "INFO", "n": 2}']
    assert len(filtered(talker, group, startTime=START_MS + 1001)) == 4
    assert len(filtered(talker, group, endTime=START_MS)) == 1
    (stream,) = talker.client("logs").describe_log_streams(logGroupName=group)["logStreams"]
    assert len(filtered(talker, group, logStreamNames=[stream["logStreamName"]])) == 10
    assert filtered(talker, group, logStreamNames=["another"]) == []
    assert len(filtered(talker, group, logStreamNamePrefix="2026/")) == 10
    assert filtered(talker, group, logStreamNamePrefix="another") == []
    assert filtered(talker, group, startFromHead=False)[-1] == '{"level": "INFO", "n": 1}'
    identified = talker.client("logs").filter_log_events(
        logGroupIdentifier=talker.resource("Shop/Log").attributes["Arn"]
    )
    assert len(identified["events"]) == 10


def test_events_come_in_pages(talker: Rehearsal) -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_FilterLogEvents.html"""
    talker.invoke("Shop/Talker", {"n": 1})
    group = talker.physical_id("Shop/Log")
    pages = (
        talker.client("logs")
        .get_paginator("filter_log_events")
        .paginate(logGroupName=group, PaginationConfig={"PageSize": 2})
    )
    sizes = [len(page["events"]) for page in pages]
    assert sizes == [2, 2, 1]


def test_groups_and_streams_have_what_is_in_them(talker: Rehearsal) -> None:
    talker.invoke("Shop/Talker", {"n": 1})
    logs = talker.client("logs")
    group = talker.physical_id("Shop/Log")
    (found,) = logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
    assert found["storedBytes"] == 73
    (stream,) = logs.describe_log_streams(logGroupName=group)["logStreams"]
    assert stream["firstEventTimestamp"] == START_MS
    assert stream["lastEventTimestamp"] == START_MS + 1000
    events = logs.get_log_events(
        logGroupName=group, logStreamName=stream["logStreamName"], startFromHead=True
    )["events"]
    assert [event["message"] for event in events][1:3] == ["first", "second"]


def test_a_function_without_a_group_has_one_named_after_it(
    template: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs.html"""
    template.function("Talker", TALKER)
    shop = rehearse()
    shop.invoke("Shop/Talker", {"n": 1})
    assert "first" in filtered(shop, f"/aws/lambda/{shop.physical_id('Shop/Talker')}")


def test_the_configuration_of_a_function_names_its_group(talker: Rehearsal) -> None:
    """https://docs.aws.amazon.com/lambda/latest/api/API_GetFunctionConfiguration.html"""
    configuration = talker.client("lambda").get_function_configuration(
        FunctionName=talker.physical_id("Shop/Talker")
    )
    assert configuration["LoggingConfig"] == {
        "LogFormat": "Text",
        "LogGroup": talker.physical_id("Shop/Log"),
    }


def test_refusals_say_what_is_wrong(talker: Rehearsal) -> None:
    logs = talker.client("logs")
    group = talker.physical_id("Shop/Log")
    missing = refusal(logs.filter_log_events, logGroupName="missing")
    assert missing[0] == "ResourceNotFoundException"
    code, message = refusal(logs.filter_log_events, logGroupName=group, filterPattern="[a, b]")
    assert (code, "space-delimited" in message) == ("InvalidParameterException", True)
    for options in (
        {"logGroupName": group, "logStreamNames": ["a"], "logStreamNamePrefix": "a"},
        {"logGroupName": group, "logGroupIdentifier": group},
        {"logGroupName": group, "nextToken": "elsewhere"},
    ):
        assert refusal(logs.filter_log_events, **options)[0] == "InvalidParameterException"


def test_a_query_of_insights_is_answered_or_refused(talker: Rehearsal) -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/CWL_QuerySyntax.html"""
    talker.invoke("Shop/Talker", {"n": 1})
    logs = talker.client("logs")
    times = {"startTime": START_MS // 1000, "endTime": START_MS // 1000 + 60}
    group = talker.physical_id("Shop/Log")
    query = logs.start_query(logGroupName=group, queryString="fields @message | limit 2", **times)
    assert len(logs.get_query_results(queryId=query["queryId"])["results"]) == 2
    for unsupported in (
        "fields @message | filter level = 'ERROR'",
        "fields level",
        "stats count()",
    ):
        code, message = refusal(
            logs.start_query, logGroupName=group, queryString=unsupported, **times
        )
        assert code == "InvalidParameterException"
        assert "FilterLogEvents" in message


MACHINE = {
    "StartAt": "Check",
    "States": {
        "Check": {
            "Type": "Choice",
            "Choices": [{"Variable": "$.good", "BooleanEquals": True, "Next": "Good"}],
            "Default": "Bad",
        },
        "Good": {"Type": "Succeed"},
        "Bad": {"Type": "Fail", "Error": "TooBad", "Cause": "no good"},
    },
}


def machine(template: Cloud, **logging: Any) -> None:
    template.add("Log", "AWS::Logs::LogGroup")
    template.function("Any", "def handler(event, context): pass")
    template.add(
        "Machine",
        "AWS::StepFunctions::StateMachine",
        DefinitionString=json.dumps(MACHINE),
        RoleArn=arn("Role"),
        LoggingConfiguration={
            "Destinations": [{"CloudWatchLogsLogGroup": {"LogGroupArn": arn("Log")}}],
            **logging,
        },
    )


def execute(shop: Rehearsal) -> list[dict[str, Any]]:
    for good in (True, False):
        shop.client("stepfunctions").start_execution(
            stateMachineArn=shop.physical_id("Shop/Machine"), input=json.dumps({"good": good})
        )
    shop.run_until_idle()
    return [json.loads(message) for message in filtered(shop, shop.physical_id("Shop/Log"))]


def test_executions_are_logged_from_the_level_on(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/step-functions/latest/dg/cloudwatch-log-level.html"""
    machine(template, Level="ALL", IncludeExecutionData=True)
    shop = rehearse()
    events = execute(shop)
    assert len(filtered(shop, shop.physical_id("Shop/Log"))) == len(events)
    assert sorted(event["type"] for event in events) == [
        "ExecutionFailed",
        "ExecutionStarted",
        "ExecutionStarted",
        "ExecutionSucceeded",
    ]
    (failed,) = [event for event in events if event["type"] == "ExecutionFailed"]
    assert failed["details"] == {"error": "TooBad", "cause": "no good"}
    assert failed["execution_arn"].split(":")[5] == "execution"
    assert (failed["id"], failed["previous_event_id"], failed["redrive_count"]) == ("2", "1", "0")
    assert failed["event_timestamp"] == str(START_MS)


@pytest.mark.parametrize(
    ("level", "types"),
    [("ERROR", ["ExecutionFailed"]), ("FATAL", ["ExecutionFailed"]), ("OFF", [])],
)
def test_a_higher_level_logs_less(
    template: Cloud, rehearse: Rehearse, level: str, types: list[str]
) -> None:
    """https://docs.aws.amazon.com/step-functions/latest/dg/cloudwatch-log-level.html"""
    machine(template, Level=level)
    events = execute(rehearse())
    assert [event["type"] for event in events] == types
    assert [event["details"] for event in events] == [{} for _ in types]
