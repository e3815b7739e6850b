"""Invoking functions: environments, deadlines, errors, concurrency, asynchronous events."""

from __future__ import annotations

import io
import json
import os
import sys
import traceback
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from cdk_rehearsal import Rehearsal, RehearsalError
from cdk_rehearsal.errors import LoadingError
from cdk_rehearsal.latency import NONE, Latency
from rehearsal.cloud import Cloud, arn, ref
from rehearsal.conftest import Deploy, Rehearse
from rehearsal.worlds import World

ECHO = "def handler(event, context): return event"
SLEEP = """
    import time
    def handler(event, context):
        time.sleep(event["seconds"])
        return "done"
"""
COUNT = """
    calls = 0
    def handler(event, context):
        global calls
        calls += 1
        return calls
"""
FAIL = """
    def handler(event, context):
        raise ValueError("not today")
"""


def invoke(shop: World, path: str, payload: Any = None, **options: Any) -> dict[str, Any]:
    """Invoke through the API, as a client does."""
    answer: dict[str, Any] = shop.client("lambda").invoke(
        FunctionName=shop.physical_id(path), Payload=json.dumps(payload or {}), **options
    )
    return answer


def decoded(answer: dict[str, Any]) -> Any:
    return json.loads(answer["Payload"].read())


def test_a_handler_gets_the_event_and_its_answer_comes_back(template: Cloud, aws: Deploy) -> None:
    """https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html"""
    template.function("Echo", ECHO)
    shop = aws()
    assert shop.invoke("Shop/Echo", {"a": [1, None]}).payload == {"a": [1, None]}
    answer = invoke(shop, "Shop/Echo", {"b": 2})
    assert (answer["StatusCode"], decoded(answer)) == (200, {"b": 2})
    assert "FunctionError" not in answer


def test_a_handler_sees_the_templates_variables_and_the_runtimes_own_and_no_others(
    template: Cloud, aws: Deploy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html"""
    monkeypatch.setenv("SECRET_OF_THE_SHELL", "1")
    monkeypatch.setenv("USER", "somebody")
    template.function(
        "Show",
        "import os\ndef handler(event, context): return dict(os.environ)",
        Environment={"Variables": {"GREETING": "hello", "COUNT": 3}},
        MemorySize=256,
    )
    shop = aws()
    variables = shop.invoke("Shop/Show", {}).payload
    assert variables["GREETING"] == "hello"
    assert variables["COUNT"] == "3"
    assert variables["AWS_LAMBDA_FUNCTION_NAME"] == shop.physical_id("Shop/Show")
    assert variables["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] == "256"
    assert variables["AWS_REGION"] == shop.region
    assert "SECRET_OF_THE_SHELL" not in variables
    assert "USER" not in variables
    assert "GREETING" not in os.environ
    assert os.environ["USER"] == "somebody"


def test_a_context_tells_who_is_invoked_and_how_much_time_is_left(
    template: Cloud, aws: Deploy
) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/python-context.html"""
    template.function(
        "Look",
        """
        import time
        def handler(event, context):
            before = context.get_remaining_time_in_millis()
            time.sleep(1.5)
            return [before, context.get_remaining_time_in_millis(), context.function_name,
                    context.invoked_function_arn, context.memory_limit_in_mb,
                    context.aws_request_id]
        """,
        Timeout=10,
    )
    shop = aws()
    before, after, name, function_arn, memory, request = shop.invoke("Shop/Look", {}).payload
    assert 9_000 < before <= 10_000
    assert 1_400 < before - after < 1_700
    assert name == shop.physical_id("Shop/Look")
    assert function_arn == shop.resource("Shop/Look").attributes["Arn"]
    assert memory == "128"
    assert len(request) == 36


def test_an_error_is_described_as_lambda_does(template: Cloud, aws: Deploy) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/python-exceptions.html"""
    template.function("Fail", FAIL)
    shop = aws()
    answer = invoke(shop, "Shop/Fail")
    assert (answer["StatusCode"], answer["FunctionError"]) == (200, "Unhandled")
    error = decoded(answer)
    assert error["errorType"] == "ValueError"
    assert error["errorMessage"] == "not today"
    assert error["stackTrace"][0].startswith('  File "/var/task/index.py", line 3, in handler')


def test_a_handler_that_is_not_done_at_its_deadline_is_stopped(
    template: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/configuration-timeout.html"""
    template.function("Sleep", SLEEP, Timeout=3)
    shop = rehearse()
    started = shop.clock.now()
    result = shop.invoke("Shop/Sleep", {"seconds": 3.5})
    assert result.function_error == "Unhandled"
    assert result.payload["errorType"] == "Sandbox.Timedout"
    assert result.payload["errorMessage"].endswith("Error: Task timed out after 3.00 seconds")
    assert shop.clock.now() == started + 3
    assert shop.invoke("Shop/Sleep", {"seconds": 2.9}).payload == "done"


@pytest.mark.parametrize(
    ("code", "kind", "message"),
    [
        ("import nowhere", "Runtime.ImportModuleError", "Unable to import module 'index': No mod"),
        ("x = 1", "Runtime.HandlerNotFound", "has no attribute 'handler'"),
        ("1 / 0", "ZeroDivisionError", "division by zero"),
        (
            "def handler(event, context): return {1, 2}",
            "Runtime.MarshalError",
            "Unable to marshal response: Object of type set is not JSON serializable",
        ),
        (
            "import sys\ndef handler(event, context): sys.exit(3)",
            "Runtime.ExitError",
            "exit status 3",
        ),
        (
            "def handler(event, context): return 'x' * 7_000_000",
            "Function.ResponseSizeTooLarge",
            "exceeded maximum allowed payload size",
        ),
    ],
)
def test_errors_of_the_runtime_have_its_names(
    template: Cloud, aws: Deploy, code: str, kind: str, message: str
) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/python-exceptions.html"""
    template.function("Function", code)
    result = aws().invoke("Shop/Function", {})
    assert result.payload["errorType"] == kind
    assert message in result.payload["errorMessage"]


def test_a_warm_environment_keeps_its_modules_and_another_function_has_its_own(
    template: Cloud, aws: Deploy
) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html"""
    template.function("One", COUNT)
    template.function("Other", COUNT)
    shop = aws()
    assert [shop.invoke("Shop/One", {}).payload for _ in range(3)] == [1, 2, 3]
    assert shop.invoke("Shop/Other", {}).payload == 1
    if isinstance(shop, Rehearsal):
        assert [r.detail["cold"] for r in shop.meter.of("invocation", target="Shop/One")] == [
            True,
            False,
            False,
        ]


VARIABLE = """
    import os, time
    def handler(event, context):
        seen = os.environ["GREETING"]
        time.sleep(event.get("seconds", 0))
        return [seen, "AWS_REGION" in os.environ]
"""


def test_another_value_of_a_variable_is_for_invocations_that_start_later(
    template: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/lambda/latest/api/API_UpdateFunctionConfiguration.html"""
    template.function("Greeter", VARIABLE, Environment={"Variables": {"GREETING": "hello"}})
    shop = rehearse()
    assert shop.invoke("Shop/Greeter", {}).payload == ["hello", True]
    slow = shop.spawn(shop.invoke, "Shop/Greeter", {"seconds": 2})
    shop.run_for(1)
    shop.client("lambda").update_function_configuration(
        FunctionName=shop.physical_id("Shop/Greeter"),
        Environment={"Variables": {"GREETING": "goodbye"}},
    )
    assert shop.invoke("Shop/Greeter", {}).payload == ["goodbye", True]
    shop.run_until_idle()
    assert slow.result().payload == ["hello", True]
    later = [shop.spawn(shop.invoke, "Shop/Greeter", {"seconds": 1}) for _ in range(2)]
    shop.run_until_idle()
    assert [each.result().payload for each in later] == [["goodbye", True]] * 2


def test_the_rehearsal_changes_only_the_variables_of_a_function(
    template: Cloud, rehearse: Rehearse
) -> None:
    template.function("Echo", ECHO)
    shop = rehearse()
    with pytest.raises(RehearsalError, match=r"changes no Timeout: change the template"):
        shop.client("lambda").update_function_configuration(
            FunctionName=shop.physical_id("Shop/Echo"), Timeout=5
        )


def test_an_environment_that_failed_is_kept_and_one_that_timed_out_is_not(
    template: Cloud, aws: Deploy
) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html"""
    template.function(
        "Count",
        """
        import time
        calls = 0
        def handler(event, context):
            global calls
            calls += 1
            if event == "fail": raise ValueError(calls)
            if event == "hang": time.sleep(60)
            return calls
        """,
    )
    shop = aws()
    assert shop.invoke("Shop/Count", "fail").failed
    assert shop.invoke("Shop/Count", "ok").payload == 2
    assert shop.invoke("Shop/Count", "hang").failed
    assert shop.invoke("Shop/Count", "ok").payload == 1


def test_invocations_at_the_same_time_run_in_environments_of_their_own(
    template: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/lambda-concurrency.html"""
    template.function(
        "Slow",
        """
        import time
        mine = []
        def handler(event, context):
            mine.append(event)
            time.sleep(1)
            return mine
        """,
    )
    shop = rehearse()
    calls = [shop.spawn(shop.invoke, "Shop/Slow", number) for number in (1, 2)]
    assert [call.result().payload for call in calls] == [[1], [2]]
    assert shop.invoke("Shop/Slow", 3).payload == [1, 3]


def test_reserved_concurrency_is_a_limit(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html"""
    template.function("Sleep", SLEEP, ReservedConcurrentExecutions=1)
    shop = rehearse()
    first = shop.spawn(invoke, shop, "Shop/Sleep", {"seconds": 1})
    second = shop.spawn(
        lambda: boto3.client("lambda", config=_no_retries()).invoke(
            FunctionName=shop.physical_id("Shop/Sleep"), Payload=b'{"seconds": 1}'
        )
    )
    shop.run_until_idle()
    assert decoded(first.result()) == "done"
    assert isinstance(second.error, ClientError)
    assert second.error.response["Error"]["Code"] == "TooManyRequestsException"


@pytest.mark.own_behaviour
def test_boto3_retries_a_throttled_call_in_virtual_time(
    template: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/boto3/latest/guide/retries.html"""
    template.function("Sleep", SLEEP, ReservedConcurrentExecutions=1)
    shop = rehearse()
    calls = [shop.spawn(invoke, shop, "Shop/Sleep", {"seconds": 0.01}) for _ in range(2)]
    assert [decoded(call.result()) for call in calls] == ["done", "done"]


def test_a_handler_may_invoke_another_function_and_wait(template: Cloud, aws: Deploy) -> None:
    """https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html"""
    template.function("Sleep", SLEEP)
    template.function(
        "Caller",
        """
        import boto3, json, os
        def handler(event, context):
            answer = boto3.client("lambda").invoke(
                FunctionName=os.environ["CALLEE"], Payload=json.dumps({"seconds": 1}))
            return [json.load(answer["Payload"]), "SLEEP" in os.environ]
        """,
        Environment={"Variables": {"CALLEE": arn("Sleep"), "SLEEP": "mine"}},
        Timeout=20,
    )
    shop = aws()
    assert shop.invoke("Shop/Caller", {}).payload == ["done", True]
    if isinstance(shop, Rehearsal):
        assert [r.source for r in shop.meter.of("invocation")] == ["Shop/Caller", "outside"]


def test_a_callee_goes_on_when_its_caller_has_timed_out(
    template: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/configuration-timeout.html"""
    template.function("Sleep", SLEEP, Timeout=60)
    template.function(
        "Caller",
        """
        import boto3, json, os
        def handler(event, context):
            boto3.client("lambda").invoke(
                FunctionName=os.environ["CALLEE"], Payload=json.dumps({"seconds": 30}))
        """,
        Environment={"Variables": {"CALLEE": ref("Sleep")}},
        Timeout=3,
    )
    shop = rehearse()
    assert shop.invoke("Shop/Caller", {}).payload["errorType"] == "Sandbox.Timedout"
    shop.run_until_idle()
    callee = shop.meter.of("invocation", target="Shop/Sleep")
    assert [(r.detail["error"], r.detail["duration_s"]) for r in callee] == [(None, 30)]


def test_output_and_logs_of_handlers_are_kept_apart_from_the_programs_own(
    template: Cloud, rehearse: Rehearse, capsys: pytest.CaptureFixture[str]
) -> None:
    template.function(
        "Talk",
        """
        import logging, sys
        logger = logging.getLogger(__name__)
        def handler(event, context):
            print("said")
            print("shouted", file=sys.stderr)
            logger.warning("logged")
            raise ValueError("raised")
        """,
    )
    template.function("Quiet", ECHO)
    shop = rehearse()
    shop.invoke("Shop/Talk", {})
    for word in ("said", "shouted", "logged", "raised"):
        assert word in shop.logs("Shop/Talk")
    assert shop.logs("Shop/Quiet") == ""
    assert capsys.readouterr() == ("", "")


def test_logs_go_to_files_on_request(template: Cloud, rehearse: Rehearse) -> None:
    template.function("Talk", "def handler(event, context): print('said')")
    directory = template.directory.parent / "logs"
    shop = rehearse(logs=directory)
    shop.invoke("Shop/Talk", {})
    assert shop.logs("Shop/Talk") == "said\n"
    assert (directory / "Shop.Talk.log").read_text() == "said\n"


def test_a_functions_modules_stay_apart_from_the_programs_modules_of_the_same_name(
    template: Cloud, rehearse: Rehearse, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = io  # any module object will do
    monkeypatch.setitem(sys.modules, "index", ours)
    template.function(
        "Function",
        """
        import time
        def handler(event, context):
            time.sleep(1)
            import index
            return vars(index) is globals()
        """,
    )
    shop = rehearse()
    assert shop.invoke("Shop/Function", {}).payload is True
    assert sys.modules["index"] is ours


def test_the_programs_modules_are_there_after_a_rehearsal_that_ended_within_a_handler(
    template: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = io  # any module object will do
    monkeypatch.setitem(sys.modules, "index", ours)
    template.function("Function", "import time\ndef handler(event, context): time.sleep(2)")
    with Rehearsal(template.write(), latency=NONE) as shop:
        shop.spawn(shop.invoke, "Shop/Function", {})
        shop.run_for(1)
    assert sys.modules.get("index") is ours


def test_metrics_of_one_environment_do_not_get_into_anothers(
    template: Cloud, rehearse: Rehearse
) -> None:
    """Powertools collects metrics in a dictionary of a class, which all functions would share."""
    code = """
        import os, time
        from aws_lambda_powertools import Metrics
        metrics = Metrics(namespace="Shop", service=os.environ["NAME"])
        @metrics.log_metrics
        def handler(event, context):
            metrics.add_metric(name=os.environ["NAME"], unit="Count", value=1)
            time.sleep(1)
    """
    for name in ("One", "Other"):
        template.function(name, code, Environment={"Variables": {"NAME": name}})
    shop = rehearse()
    calls = [shop.spawn(shop.invoke, f"Shop/{name}", {}) for name in ("One", "Other")]
    assert not any(call.result().failed for call in calls)
    metrics = json.loads(shop.logs("Shop/One"))
    assert metrics["service"] == "One"
    assert metrics["One"] == [1.0]
    assert "Other" not in metrics


def test_api_calls_of_handlers_are_recorded_with_who_made_them(
    template: Cloud, rehearse: Rehearse
) -> None:
    template.table("Table")
    template.function(
        "Function",
        """
        import boto3, os
        def handler(event, context):
            client = boto3.client("dynamodb")
            client.put_item(TableName=os.environ["TABLE"], Item={"pk": {"S": "1"}})
            try:
                client.get_item(TableName=os.environ["TABLE"], Key={"nonsense": {"S": "1"}})
            except client.exceptions.ClientError:
                pass
        """,
        Environment={"Variables": {"TABLE": ref("Table")}},
    )
    shop = rehearse()
    shop.client("dynamodb").scan(TableName=shop.physical_id("Shop/Table"))
    assert not shop.invoke("Shop/Function", {}).failed
    assert [(r.source, r.target, r.detail) for r in shop.meter.of("call")] == [
        (
            "Shop/Function",
            "Shop/Table",
            {"service": "dynamodb", "operation": "PutItem", "error": None},
        ),
        (
            "Shop/Function",
            "Shop/Table",
            {"service": "dynamodb", "operation": "GetItem", "error": "ValidationException"},
        ),
    ]


def test_api_calls_take_virtual_time_in_which_others_run(
    template: Cloud, rehearse: Rehearse
) -> None:
    """Two handlers that read, add one and write without a condition lose an update."""
    template.table("Table")
    template.function(
        "Increase",
        """
        import boto3, os
        def handler(event, context):
            client, table = boto3.client("dynamodb"), os.environ["TABLE"]
            item = client.get_item(TableName=table, Key={"pk": {"S": "n"}}).get("Item", {})
            count = int(item.get("n", {"N": "0"})["N"]) + 1
            client.put_item(TableName=table, Item={"pk": {"S": "n"}, "n": {"N": str(count)}})
            return count
        """,
        Environment={"Variables": {"TABLE": ref("Table")}},
    )
    shop = rehearse(latency=Latency(api_call_s=(0.01, 0.01), cold_start_s=(0, 0)))
    calls = [shop.spawn(shop.invoke, "Shop/Increase", {}) for _ in range(2)]
    assert [call.result().payload for call in calls] == [1, 1]


def test_the_invoke_api_knows_its_limits(template: Cloud, aws: Deploy) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"""
    template.function("Echo", ECHO)
    shop = aws()
    client = shop.client("lambda")
    with pytest.raises(client.exceptions.RequestTooLargeException):
        invoke(shop, "Shop/Echo", "x" * 6_300_000)
    with pytest.raises(client.exceptions.RequestTooLargeException):
        invoke(shop, "Shop/Echo", "x" * 1_100_000, InvocationType="Event")
    with pytest.raises(client.exceptions.InvalidRequestContentException):
        client.invoke(FunctionName=shop.physical_id("Shop/Echo"), Payload=b"{")
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.invoke(FunctionName="nobody")


def test_a_dry_run_invokes_nothing(template: Cloud, aws: Deploy) -> None:
    """https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html"""
    template.function("Echo", ECHO)
    shop = aws()
    assert invoke(shop, "Shop/Echo", InvocationType="DryRun")["StatusCode"] == 204
    shop.run_until_idle()
    if isinstance(shop, Rehearsal):
        assert shop.meter.of("invocation") == []


# -- asynchronous invocation --------------------------------------------------------------


def asynchronous(template: Cloud, code: str = FAIL, **config: Any) -> None:
    template.queue("Failures")
    template.function("Function", code)
    template.add(
        "Config",
        "AWS::Lambda::EventInvokeConfig",
        FunctionName=ref("Function"),
        Qualifier="$LATEST",
        DestinationConfig={"OnFailure": {"Destination": arn("Failures")}},
        **config,
    )


def times(shop: Rehearsal) -> list[float]:
    """Seconds since the first invocation at which the function was invoked."""
    moments = [r.time for r in shop.meter.of("invocation", target="Shop/Function")]
    return [moment - moments[0] for moment in moments]


def test_an_asynchronous_event_is_accepted_at_once(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/invocation-async.html"""
    template.function("Function", COUNT)
    shop = rehearse()
    answer = invoke(shop, "Shop/Function", InvocationType="Event")
    assert (answer["StatusCode"], answer["Payload"].read()) == (202, b"")
    assert shop.meter.of("invocation") == []
    shop.run_until_idle()
    assert [r.detail["type"] for r in shop.meter.of("invocation")] == ["async"]


def test_a_failed_event_is_tried_again_after_one_and_two_minutes(
    template: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html"""
    asynchronous(template)
    shop = rehearse()
    invoke(shop, "Shop/Function", {"id": 7}, InvocationType="Event")
    shop.run_until_idle()
    assert times(shop) == [0, 60, 180]


def test_a_failed_event_ends_at_the_on_failure_destination(
    template: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html"""
    asynchronous(template, MaximumRetryAttempts=1)
    shop = rehearse()
    invoke(shop, "Shop/Function", {"id": 7}, InvocationType="Event")
    shop.run_until_idle()
    (message,) = shop.messages("Shop/Failures")
    record = json.loads(message["body"])
    assert record["version"] == "1.0"
    assert record["requestContext"]["condition"] == "RetriesExhausted"
    assert record["requestContext"]["approximateInvokeCount"] == 2
    assert record["requestContext"]["functionArn"].endswith(":$LATEST")
    assert record["requestPayload"] == {"id": 7}
    assert record["responseContext"] == {
        "statusCode": 200,
        "executedVersion": "$LATEST",
        "functionError": "Unhandled",
    }
    assert record["responsePayload"]["errorType"] == "ValueError"
    assert shop.dead_letter_queues() == ["Shop/Failures"]
    assert [r.target for r in shop.meter.of("dead_letter")] == ["Shop/Failures"]


@pytest.mark.parametrize("succeeds", [True, False])
def test_a_bus_as_destination_gets_the_record_as_an_event(
    template: Cloud, aws: Deploy, succeeds: bool
) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html"""
    asynchronous(template, MaximumRetryAttempts=0)
    code = "def handler(event, context): return {'y': 1}\n" if succeeds else "handler = None"
    template.resources["Function"]["Properties"]["Code"] = {"ZipFile": code}
    template.bus("Bus")
    template.queue("Queue")
    template.rule("Rule", {"source": ["lambda"]}, {"Arn": arn("Queue")})
    config = next(
        each["Properties"]
        for each in template.resources.values()
        if each["Type"] == "AWS::Lambda::EventInvokeConfig"
    )
    condition = "OnSuccess" if succeeds else "OnFailure"
    config["DestinationConfig"] = {condition: {"Destination": arn("Bus")}}
    shop = aws()
    invoke(shop, "Shop/Function", {"id": 7}, InvocationType="Event")
    shop.run_until_idle()
    (message,) = shop.messages("Shop/Queue")
    event = json.loads(message["body"])
    assert event["detail-type"] == (
        f"Lambda Function Invocation Result - {'Success' if succeeds else 'Failure'}"
    )
    assert event["resources"] == [
        shop.resource("Shop/Bus").attributes["Arn"],
        f"{shop.resource('Shop/Function').attributes['Arn']}:$LATEST",
    ]
    assert event["detail"]["requestPayload"] == {"id": 7}


def test_a_destination_of_another_kind_is_refused_when_the_template_is_loaded(
    template: Cloud, rehearse: Rehearse
) -> None:
    """And not when the first event arrives there."""
    asynchronous(template)
    for each in template.resources.values():
        if each["Type"] == "AWS::Lambda::EventInvokeConfig":
            each["Properties"]["DestinationConfig"] = {
                "OnSuccess": {"Destination": "arn:aws:s3:::bucket"}
            }
    with pytest.raises(LoadingError, match="does not support the destination arn:aws:s3"):
        rehearse()


def test_an_event_that_is_too_old_is_not_tried_again(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-configuring.html"""
    asynchronous(template, MaximumEventAgeInSeconds=100)
    shop = rehearse()
    invoke(shop, "Shop/Function", InvocationType="Event")
    shop.run_until_idle()
    assert times(shop) == [0, 60]
    (message,) = shop.messages("Shop/Failures")
    assert json.loads(message["body"])["requestContext"]["condition"] == "EventAgeExceeded"


def test_a_throttled_event_uses_up_no_retry(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html"""
    asynchronous(template, SLEEP, MaximumRetryAttempts=0)
    template.resources["Function"]["Properties"] |= {
        "ReservedConcurrentExecutions": 1,
        "Timeout": 60,
    }
    shop = rehearse()
    for _ in range(3):
        invoke(shop, "Shop/Function", {"seconds": 30}, InvocationType="Event")
    shop.run_until_idle()
    assert [r.detail["error"] for r in shop.meter.of("invocation")] == [None, None, None]
    assert shop.messages("Shop/Failures") == []


def test_a_functions_own_dead_letter_queue_gets_the_event_as_it_was(
    template: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html"""
    template.queue("Dead")
    template.function("Function", FAIL, DeadLetterConfig={"TargetArn": arn("Dead")})
    shop = rehearse()
    invoke(shop, "Shop/Function", {"id": 7}, InvocationType="Event")
    shop.run_until_idle()
    (message,) = shop.messages("Shop/Dead")
    assert json.loads(message["body"]) == {"id": 7}
    assert message["attributes"]["ErrorCode"] == "200"
    assert message["attributes"]["ErrorMessage"] == "not today"
    assert set(message["attributes"]) == {"RequestID", "ErrorCode", "ErrorMessage"}


# -- faults -------------------------------------------------------------------------------


def test_a_fault_before_the_handler_leaves_no_effect_and_one_after_it_does(
    template: Cloud, rehearse: Rehearse
) -> None:
    template.function("Count", COUNT)
    shop = rehearse()
    shop.faults.fail("Shop/Count", times=2)
    shop.faults.fail("Shop/Count", when="after", error=TimeoutError("lost"))
    kinds = [shop.invoke("Shop/Count", {}).payload for _ in range(4)]
    assert [kind["errorType"] for kind in kinds[:3]] == [
        "InjectedFault",
        "InjectedFault",
        "TimeoutError",
    ]
    assert kinds[3] == 2


def test_the_traceback_of_a_fault_that_strikes_often_does_not_grow(
    template: Cloud, rehearse: Rehearse
) -> None:
    template.function("Count", COUNT)
    shop, error = rehearse(), TimeoutError("lost")
    shop.faults.fail("Shop/Count", times=None, error=error)
    frames = list[int]()
    for _ in range(3):
        shop.invoke("Shop/Count", {})
        frames.append(len(traceback.extract_tb(error.__traceback__)))
    assert frames == [frames[0]] * 3


def test_a_fault_for_nobody_is_an_error(template: Cloud, rehearse: Rehearse) -> None:
    template.function("Count", COUNT)
    with pytest.raises(RehearsalError, match="Shop/Cuont"):
        rehearse().faults.fail("Shop/Cuont")


def _no_retries() -> Any:
    from botocore.config import Config

    return Config(retries={"total_max_attempts": 1})
