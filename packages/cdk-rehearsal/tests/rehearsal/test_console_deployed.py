"""The console of a deployed application: it shares nothing with a rehearsal but the AWS API."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from cdk_rehearsal import Rehearsal
from cdk_rehearsal.cli import main
from cdk_rehearsal.console.deployed.lines import LineReader, Writer
from cdk_rehearsal.meter import Record
from rehearsal.cloud import Cloud, arn, ref
from rehearsal.conftest import Rehearse
from rehearsal.second_process import Command
from rehearsal.test_console import client


@pytest.fixture
def shop(template: Cloud, rehearse: Rehearse) -> Rehearsal:
    """A bus, a rule, a queue with a dead-letter queue, an alarm, and a function."""
    template.bus("Bus")
    template.queue("Dead")
    template.queue("Orders", dead_letters="Dead", receives=2, VisibilityTimeout=30)
    template.rule("Placed", {"source": ["shop"]}, {"Arn": arn("Orders")})
    template.function(
        "Ship",
        """
        import json

        def handler(event, context):
            for record in event["Records"]:
                detail = json.loads(record["body"])["detail"]
                ids = {"correlation_id": detail["correlationid"], "causation_id": detail["id"]}
                print(json.dumps({"level": "INFO", "message": "shipped", **ids}))
        """,
        LoggingConfig={"LogFormat": "JSON"},
    )
    template.mapping("Mapping", arn("Orders"), "Ship")
    template.add(
        "Parked",
        "AWS::CloudWatch::Alarm",
        AlarmDescription="What to do: https://example.com/runbook.md#messages-are-parked",
        Namespace="AWS/SQS",
        MetricName="ApproximateNumberOfMessagesVisible",
        Dimensions=[{"Name": "QueueName", "Value": arn("Dead", "QueueName")}],
        Period=60,
        EvaluationPeriods=1,
        Statistic="Maximum",
        Threshold=0,
        ComparisonOperator="GreaterThanThreshold",
    )
    return rehearse()


@pytest.fixture
def console(shop: Rehearsal) -> Iterator[Command]:
    command = Command(shop, "--minutes", "60").start()
    yield command
    command.close()


def put(shop: Rehearsal, number: int = 1, **detail: object) -> None:
    body = {"id": f"event-{number}", "correlationid": "order-1", **detail}
    bus = shop.physical_id("Shop/Bus")
    entry = {"Source": "shop", "DetailType": "OrderPlaced", "EventBusName": bus}
    shop.client("events").put_events(Entries=[{**entry, "Detail": json.dumps(body)}])


def rows(console: Command) -> list[list[float]]:
    """The rows so far, as a browser gets them."""
    parts = urlsplit(console.url)
    found: list[list[float]] = []

    def read() -> None:
        with client(parts.port or 0) as connection:
            connection.request("GET", parts.path + "stream", headers={"Host": parts.netloc})
            response = connection.getresponse()
            while line := response.readline():
                if line.startswith(b"data: ") and b'"rows"' in line:
                    flat = json.loads(line[6:])["rows"]
                    found.extend(flat[at : at + 6] for at in range(0, len(flat), 6))
                    return

    console.while_running(read)
    return found


def test_it_shows_depths_alarms_and_traces_of_another_process(
    shop: Rehearsal, console: Command
) -> None:
    shop.client("sqs").send_message(QueueUrl=shop.physical_id("Shop/Dead"), MessageBody="one")
    put(shop, order_id="o-17")
    shop.run_for(90)
    trace = console.until("trace?of=order-1", lambda found: found is not None)

    assert [event["id"] for event in trace["events"]] == ["event-1"]
    steps = [(step["kind"], step["target"], step["says"]) for step in trace["steps"]]
    assert steps == [("log", "Shop/Ship", "shipped")]
    about = console.get("map")
    kinds, nodes = about["kinds"], [node["path"] for node in about["about"]["map"]["nodes"]]
    seen = [(kinds[int(row[1])], int(row[3]), row[4]) for row in rows(console)]
    assert ("invocation", nodes.index("Shop/Ship"), 0) in seen
    assert ("depth", nodes.index("Shop/Dead"), 1) in seen
    assert [value for kind, _, value in seen if kind == "alarm"] == [1]
    assert about["about"]["deployed"]["identity"].startswith("arn:aws:sts::123456789012:")
    assert not about["about"]["deployed"]["operates"]


def test_an_operator_in_another_process_brings_events_of_each_bus_back(
    template: Cloud, rehearse: Rehearse, tmp_path: Path
) -> None:
    template.queue("Dead")
    template.queue("Orders", dead_letters="Dead", receives=1, VisibilityTimeout=30)
    template.add("Bus", "AWS::EventsV2::EventBus", Name="bus")
    template.add("Parcels", "AWS::SQS::Queue")
    template.add("Undelivered", "AWS::SQS::Queue")
    template.role("Role")
    template.add(
        "Placed",
        "AWS::EventsV2::Subscriber",
        Name="placed",
        EventBusArn=ref("Bus"),
        InvokeConfiguration={"TargetArn": arn("Parcels"), "RoleArn": arn("Role")},
        OnFailureConfiguration={"Arn": arn("Undelivered")},
    )
    shop = rehearse()
    shop.client("sqs").send_message(QueueUrl=shop.physical_id("Shop/Dead"), MessageBody="one")
    shop.faults.fail("Shop/Parcels", times=None, when="delivery")
    event = {"Source": "shop", "DetailType": "Placed", "Detail": json.dumps({"order": "o-1"})}
    bus = shop.physical_id("Shop/Bus")
    shop.client("eventbridgev2").put_events(EventBusArn=bus, Entries=[event])
    shop.run_for(3600)
    shop.faults.clear()
    journal = tmp_path / "journal.jsonl"
    page = Command(shop, "--operate", "--journal", str(journal)).start()
    try:
        for what, path in (
            ("redrive", "Shop/Dead"),
            ("replay Shop/Placed", "Shop/Undelivered"),
            ("finish Shop/Placed", "Shop/Undelivered"),
        ):
            plan = page.command("plan", what=what, path=path)
            done = page.command("operate", token=plan["value"]["token"])
            assert "value" in done, done
            shop.run_for(60)
    finally:
        page.close()

    depths = shop.queue_depths()
    assert depths == {
        **dict.fromkeys(("Shop/Dead", "Shop/Undelivered"), 0),
        **dict.fromkeys(("Shop/Orders", "Shop/Parcels"), 1),
    }
    kinds = [json.loads(line)["what"] for line in journal.read_text().splitlines()]
    assert [*dict.fromkeys(kinds)] == ["opened the console", "redrive", "replay", "finish"]


def test_it_links_to_pages_about_the_application_and_shows_the_runbook(
    shop: Rehearsal, tmp_path: Path
) -> None:
    site, runbook = tmp_path / "site", tmp_path / "runbook.md"
    site.mkdir()
    (site / "pages.json").write_text(json.dumps({"Shop/Ship": "ship.html"}))
    (site / "ship.html").write_text('"the page"')
    runbook.write_text("# Runbook\n\n## Other\n\n## Messages are parked!\nFix it.\n")
    page = Command(
        shop, "--site", str(site), "--site-build", "make it", "--runbook", str(runbook)
    ).start()
    try:
        about = page.until("map", lambda _: True)["about"]
        assert (about["pages"], about["build"]) == ({"Shop/Ship": "ship.html"}, "make it")
        assert about["runbook"]
        assert page.get("site/ship.html") == "the page"
        alarms = page.command("alarms")["value"]
        while not alarms:
            alarms = page.command("alarms")["value"]
        assert page.command("runbook", path="Shop/Parked")["value"].endswith("Fix it.")
        assert page.command("runbook", path="Shop/Orders")["value"] == ""
    finally:
        page.close()


# -- what is wrong --------------------------------------------------------------------------


def said(command: Command) -> str:
    """What a command writes when it ends, which it has to do with an error."""
    output: list[tuple[str, str]] = []
    command.while_running(lambda: output.append(command.process.communicate(timeout=60)))
    command.process.kill()
    assert command.process.returncode == 2, output
    assert output[0][0] == ""
    return output[0][1]


def test_a_shell_without_credentials_is_an_error(shop: Rehearsal) -> None:
    without: dict[str, Any] = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
    command = Command(shop, AWS_EC2_METADATA_DISABLED="true", **without)
    assert said(command).startswith("error: the shell has no AWS credentials: sign in")


def test_a_shell_without_a_region_is_an_error(shop: Rehearsal) -> None:
    assert "set AWS_REGION" in said(Command(shop, AWS_REGION=""))


def test_a_runbook_that_cannot_be_read_is_an_error(shop: Rehearsal, tmp_path: Path) -> None:
    text = said(Command(shop, "--runbook", str(tmp_path / "none.md")))
    assert text.startswith("error: the runbook cannot be read: ")
    assert "give another file" in text


def test_an_endpoint_that_does_not_answer_is_an_error(shop: Rehearsal) -> None:
    text = said(Command(shop, AWS_ENDPOINT_URL="http://127.0.0.1:1"))
    assert text.startswith("error: sts:GetCallerIdentity: Could not connect")


def test_a_stage_that_is_not_deployed_is_an_error(shop: Rehearsal, tmp_path: Path) -> None:
    other = Cloud(tmp_path / "other", "Elsewhere")
    other.queue("Orders")
    other.write()
    command = Command(shop, assembly=other.directory)
    text = said(command)
    assert text.startswith("error: none of the stacks is in account 123456789012, region eu-cen")
    assert "Elsewhere: deploy them" in text


def test_an_unknown_command_of_the_page_is_an_error(console: Command) -> None:
    for do in ("inject", "pause", "rehearse", "nothing"):
        assert f"no command '{do}' for what is deployed" in console.command(do)["error"]
    assert "read-only" in console.command("plan", what="redrive", path="Shop/Dead")["error"]
    assert "wrong arguments" in console.command("plan", path="Shop/Dead")["error"]


def test_the_last_lines_of_a_log_are_read_on_demand(shop: Rehearsal, console: Command) -> None:
    put(shop)
    shop.run_for(30)
    assert '"shipped"' in console.command("logs", path="Shop/Ship")["value"]
    assert "has no log group" in console.command("logs", path="Shop/Dead")["error"]


def test_the_policy_is_written_as_json(template: Cloud, capsys: pytest.CaptureFixture[str]) -> None:
    template.queue("Orders")
    directory = str(template.write())
    for options, kinds in (
        (["--policy"], {"Read"}),
        (
            ["--policy", "--operate"],
            {"Read", "Redrive", "RedriveEncrypted", "DeliverAgain", "DeliverAgainAsTheBus"},
        ),
    ):
        with pytest.raises(SystemExit) as ended:
            main(["console", directory, *options])
        assert ended.value.code == 0
        statements = json.loads(capsys.readouterr().out)["Statement"]
        assert {each["Sid"].rstrip("0123456789") for each in statements} == kinds
        stacks = {each for one in statements for each in one["Resource"] if ":stack/" in each}
        assert stacks == {"arn:aws:cloudformation:*:*:stack/Shop/*"}


# -- log lines ------------------------------------------------------------------------------

SHIP = Writer("Shop/Ship", "function", "ship", "Shop/Orders")
BUS = Writer("Shop/Bus", "bus")
FLOW = Writer("Shop/Flow", "workflow")
API = Writer("Shop/Api", "api", access={"how": "status", "what": "routeKey"})


def read(writer: Writer, *lines: object) -> list[Record]:
    reader = LineReader()
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    return [each for text in texts for each in reader.records(writer, 1000.0, text)]


@pytest.mark.parametrize(
    ("line", "duration_s", "error"),
    [
        ("REPORT RequestId: r-1\tDuration: 12.50 ms\tBilled Duration: 13 ms", 0.0125, None),
        (
            "REPORT RequestId: r-1\tDuration: 3000.00 ms\tMemory Size: 128 MB\tStatus: timeout",
            3.0,
            {"errorType": "timeout"},
        ),
        (
            "REPORT RequestId: r-1 Duration: 1.00 ms Status: error Error Type: Runtime.ExitError",
            0.001,
            {"errorType": "Runtime.ExitError"},
        ),
        (
            {
                "type": "platform.report",
                "record": {
                    "requestId": "r-1",
                    "metrics": {"durationMs": 12.5},
                    "status": "failure",
                    "errorType": "Runtime.OutOfMemory",
                },
            },
            0.0125,
            {"errorType": "Runtime.OutOfMemory"},
        ),
        (
            {
                "type": "platform.report",
                "record": {
                    "requestId": "r-1",
                    "metrics": {"durationMs": 1},
                    "status": "success",
                },
            },
            0.001,
            None,
        ),
    ],
)
def test_a_report_is_an_invocation(line: object, duration_s: float, error: object) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/telemetry-schema-reference.html"""
    (record,) = read(SHIP, line)
    assert (record.kind, record.source, record.target) == ("invocation", "Shop/Orders", "Shop/Ship")
    assert record.detail == {"request_id": "r-1", "duration_s": duration_s, "error": error}


SPAN = {
    "type": "span",
    "trace_id": "1" * 32,
    "span_id": "2" * 16,
    "name": "ship",
    "start": "2026-01-05T08:00:01+00:00",
    "duration_ms": 12.5,
    "outcome": "done",
}
STOPPED = {"status": "timeout", "metrics": {"durationMs": 3000}, "requestId": "r-1"}
FAILED = {"status": "error", "errorType": "ValueError", "requestId": "r-1"}


@pytest.mark.parametrize(
    ("more", "invocations"),
    [
        ({}, [("2" * 16, 0.0125, None)]),
        ({"outcome": "duplicate"}, [("2" * 16, 0.0125, None)]),
        (
            {"outcome": "failed", "error": "ValueError"},
            [("2" * 16, 0.0125, {"errorType": "ValueError"})],
        ),
    ],
)
def test_a_span_is_an_invocation_if_lambda_reports_none(
    more: dict[str, object], invocations: list[object]
) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-log-level.html"""
    elsewhere = {**SPAN, "trace_id": "3" * 32, "span_id": "4" * 16}
    lines = ({**SPAN, **more}, {**elsewhere, **more})
    found = read(replace(SHIP, reports=False), *lines)
    assert [tuple(each.detail.values()) for each in found] == invocations
    assert read(SHIP, *lines) == []


def test_a_failure_counts_once_beside_spans_and_one_that_left_none_counts_too() -> None:
    quiet = replace(SHIP, reports=False)
    failed, stopped = ({"type": "platform.report", "record": each} for each in (FAILED, STOPPED))
    assert len(read(quiet, {**SPAN, "outcome": "failed"}, failed)) == 1
    assert len(read(quiet, SPAN, stopped)) == 2
    assert len(read(quiet, failed, failed)) == 2


@pytest.mark.parametrize(
    "line",
    [
        "START RequestId: r-1 Version: $LATEST",
        "not JSON",
        "[1]",
        {"_aws": {"CloudWatchMetrics": []}, "correlation_id": "c-1"},
        {"message": "without an id"},
        {"type": "platform.start", "record": {"requestId": "r-1"}},
    ],
)
def test_other_lines_say_nothing(line: object) -> None:
    assert read(SHIP, line) == []
    assert read(BUS, line) == read(FLOW, line) == []


def test_a_line_with_ids_belongs_to_the_event_that_a_bus_has_logged() -> None:
    reader = LineReader()
    event = {"id": "b-1", "detail-type": "Placed", "detail": {"id": "e-1", "correlationid": "c-1"}}
    line = {
        "level": "ERROR",
        "message": "failed",
        "correlation_id": "c-1",
        "causation_id": "e-1",
        "exception_name": "KeyError",
        "function_request_id": "r-1",
    }
    (published,) = reader.records(BUS, 1.0, json.dumps(event))
    (logged,) = reader.records(SHIP, 2.0, json.dumps(line))
    assert published.detail["event"] == logged.detail["event"] == event
    assert logged.detail["error"]["errorType"] == "KeyError"
    assert logged.detail["queued"] == "r-1"


def test_names_of_ids_may_be_written_in_any_way() -> None:
    (logged,) = read(SHIP, {"correlationId": "c-1", "Causation-ID": "e-1", "eventType": "Placed"})
    assert logged.detail["event"] == {
        "id": "e-1",
        "detail-type": "Placed",
        "detail": {"id": "e-1", "correlationid": "c-1"},
    }


def test_an_envelope_is_an_event_at_its_own_time() -> None:
    envelope = {
        "id": "e-1",
        "type": "Placed.v1",
        "source": "shop.orders",
        "time": "1970-01-01T00:16:39.500Z",
        "correlationid": "c-1",
    }
    (published,) = read(BUS, envelope)
    assert (published.kind, published.source, published.time) == (
        *("published", "shop.orders"),
        999.5,
    )
    (long_ago,) = read(BUS, {**envelope, "time": "1960-01-01T00:00:00Z"})
    assert long_ago.time == 1000.0


@pytest.mark.parametrize(
    ("type_", "what", "status"),
    [
        ("ExecutionStarted", "started", "RUNNING"),
        ("ExecutionFailed", "ended", "FAILED"),
        ("ExecutionTimedOut", "ended", "TIMED_OUT"),
    ],
)
def test_a_line_of_a_workflow_is_an_execution(type_: str, what: str, status: str) -> None:
    """https://docs.aws.amazon.com/step-functions/latest/dg/cw-logs.html"""
    (record,) = read(FLOW, {"type": type_, "execution_arn": "arn", "details": {"error": "E"}})
    assert (record.kind, record.detail["what"], record.detail["status"]) == (
        *("execution", what),
        status,
    )
    assert read(FLOW, {"type": "TaskScheduled", "execution_arn": "arn"}) == []


def test_a_line_of_an_access_log_is_a_request_in_the_words_of_its_format() -> None:
    (record,) = read(API, {"how": "502", "what": "POST /orders"})
    assert (record.kind, record.source, record.target) == ("request", "outside", "Shop/Api")
    assert (record.detail["method"], record.detail["path"], record.detail["status"]) == (
        *("POST", "/orders"),
        502,
    )
