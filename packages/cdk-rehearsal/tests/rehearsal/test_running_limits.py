"""Limits of what runs: requests, executions, filters, messages in flight, concurrency."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from cdk_rehearsal import Rehearsal, RehearsalError, UnsupportedTemplateError
from cdk_rehearsal.filters import FilterCriteria, SubscriptionFilter
from cdk_rehearsal.patterns import PatternError
from cdk_rehearsal.services.http_formats import check_signature
from cdk_rehearsal.services.queue_mapping import QueueMapping
from cdk_rehearsal.services.tokens import Forbidden
from cdk_rehearsal.target_inputs import InputTransformer
from rehearsal import test_http_api, test_rest_api
from rehearsal.cloud import Cloud, arn
from rehearsal.conftest import Rehearse
from rehearsal.crossing import crosses

SLEEPS = """
import time
def handler(event, context):
    time.sleep(float(event.get("rawPath", event.get("path", "")).strip("/") or 0))
    return {"statusCode": 200, "body": ""}
"""


def outcome(call: Any, *args: Any, **options: Any) -> str:
    """The code of the error that a call ends with; empty if it succeeds."""
    try:
        call(*args, **options)
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return ""


# -- requests ---------------------------------------------------------------------------------


@pytest.fixture
def http(template: Cloud, rehearse: Rehearse) -> Rehearsal:
    test_http_api.api(template)
    template.function("F", SLEEPS, Timeout=60)
    test_http_api.route(template, "GET /{proxy+}", "F", open_=True)
    return rehearse()


@pytest.fixture
def rest(template: Cloud, rehearse: Rehearse) -> Rehearsal:
    test_rest_api.api(template, SLEEPS)
    template.resources["Echo"]["Properties"]["Timeout"] = 60
    test_rest_api.part(template, "Any", "{proxy+}")
    test_rest_api.method(template, "All", "ANY", "Any")
    return rehearse()


@crosses("apigatewayv2.timeout_ms")
def test_an_http_api_waits_for_thirty_seconds(http: Rehearsal) -> None:
    assert [http.http.request("GET", path).status for path in ("/29.9", "/30.1")] == [200, 503]


@crosses("apigateway.timeout_ms")
def test_a_rest_api_waits_for_twenty_nine_seconds(rest: Rehearsal) -> None:
    assert [rest.http.request("GET", path).status for path in ("/28.9", "/29.1")] == [200, 504]


@crosses("apigateway.timeout_ms")
def test_the_timeout_of_a_rest_api_can_be_raised(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html"""
    test_rest_api.api(template, SLEEPS)
    template.resources["Echo"]["Properties"]["Timeout"] = 60
    integration = test_rest_api.proxy(TimeoutInMillis=40_000)
    test_rest_api.method(template, "Get", "GET", Integration=integration)
    with pytest.raises(UnsupportedTemplateError, match="TimeoutInMillis is from 50 to 29000"):
        rehearse()
    assert rehearse(quotas={"apigateway.timeout_ms": 40_000}).http.request("GET", "/").status == 200


def sized(shop: Rehearsal, size: int) -> int:
    """The status of a request whose body has a size."""
    headers = {"content-type": "text/plain"}
    return shop.http.request("POST", "/0", headers=headers, body="x" * size).status


@crosses("apigatewayv2.payload_bytes")
def test_an_http_api_refuses_a_body_over_ten_megabytes(http: Rehearsal) -> None:
    """There is no route for either: a function would not take so much."""
    assert [sized(http, size) for size in (10_485_760, 10_485_761)] == [404, 413]


@crosses("apigateway.payload_bytes")
def test_a_rest_api_refuses_a_body_over_ten_megabytes(template: Cloud, rehearse: Rehearse) -> None:
    test_rest_api.api(template)
    mock = {"Type": "MOCK", "RequestTemplates": {"text/plain": '{"statusCode": 200}'}}
    test_rest_api.method(template, "Post", "POST", Integration=mock)
    shop = rehearse()
    codes = [
        shop.http.request("POST", "/", headers={"content-type": "text/plain"}, body="x" * n).status
        for n in (10_485_760, 10_485_761)
    ]
    assert codes[0] != 413
    assert codes[1] == 413


def headed(shop: Rehearsal, size: int) -> int:
    """The status of a request whose request line and header values have a size."""
    headers = {"x-long": "x" * (size - len("GET /0 HTTP/1.1"))}
    return shop.http.request("GET", "/0", headers=headers).status


@crosses("apigatewayv2.header_bytes")
def test_an_http_api_refuses_headers_over_ten_kilobytes(http: Rehearsal) -> None:
    statuses = [headed(http, 10_240 + more) for more in range(-400, 20, 10)]
    assert statuses == sorted(statuses)
    assert (statuses[0], statuses[-1]) == (200, 431)


@crosses("apigateway.header_bytes")
def test_a_rest_api_refuses_headers_over_ten_kilobytes(rest: Rehearsal) -> None:
    statuses = [headed(rest, 10_240 + more) for more in range(-400, 20, 10)]
    assert statuses == sorted(statuses)
    assert (statuses[0], statuses[-1]) == (200, 431)


@crosses("iam.signature_age_s")
@pytest.mark.parametrize(("age", "valid"), [(300, True), (301, False), (-301, False)])
def test_a_signature_is_valid_for_five_minutes(
    age: int, valid: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = AWSRequest("GET", "https://api.example/", headers={"host": "api.example"})
    SigV4Auth(Credentials("rehearsal", "rehearsal"), "execute-api", "eu-central-1").add_auth(
        request
    )
    headers = {name.lower(): value for name, value in request.headers.items()}
    signed = datetime.strptime(headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    now = signed.timestamp() + age
    check: Any = check_signature
    arguments = ("GET", "https://api.example/", headers, b"", "eu-central-1", now, "execute-api")
    if valid:
        check(*arguments)
    else:
        with pytest.raises(Forbidden, match="of another time"):
            check(*arguments)


# -- filters and input transformers -----------------------------------------------------------


def refuses(make: Any, *arguments: Any) -> bool:
    try:
        make(*arguments)
    except PatternError:
        return True
    return False


@crosses("lambda.filters")
def test_a_mapping_has_five_filters_and_on_request_ten(template: Cloud, rehearse: Rehearse) -> None:
    def filters(number: int) -> dict[str, Any]:
        return {"Filters": [{"Pattern": '{"body":["x"]}'}] * number}

    assert [refuses(FilterCriteria, filters(number)) for number in (5, 6)] == [False, True]
    template.queue("Queue", VisibilityTimeout=180)
    template.function("Function", "def handler(event, context): pass")
    template.mapping("Mapping", arn("Queue"), "Function", FilterCriteria=filters(10))
    rehearse(quotas={"lambda.filters": 10})
    with pytest.raises(RehearsalError, match="which AWS grants nobody: give at most 10"):
        Rehearsal(template.directory, quotas={"lambda.filters": 11})


@crosses("lambda.filter_characters")
def test_a_filter_has_4096_characters() -> None:
    def criteria(length: int) -> dict[str, Any]:
        return {"Filters": [{"Pattern": '{"body":["x"]}'.ljust(length)}]}

    assert [refuses(FilterCriteria, criteria(length)) for length in (4096, 4097)] == [False, True]


@crosses("sns.filter_keys")
def test_a_filter_policy_has_five_keys() -> None:
    policies = [{f"k{index}": ["x"] for index in range(number)} for number in (5, 6)]
    assert [refuses(SubscriptionFilter, policy) for policy in policies] == [False, True]


@crosses("sns.filter_combinations")
def test_a_filter_policy_has_150_combinations() -> None:
    policies = [{"a": ["x", "y"], "b": [str(i) for i in range(number)]} for number in (75, 76)]
    assert [refuses(SubscriptionFilter, policy) for policy in policies] == [False, True]


@crosses("events.input_paths")
def test_an_input_transformer_has_a_hundred_paths() -> None:
    paths = [{f"k{index}": "$.a" for index in range(number)} for number in (100, 101)]
    assert [refuses(InputTransformer, each, '"x"') for each in paths] == [False, True]


@crosses("events.template_characters")
def test_an_input_template_has_8192_characters() -> None:
    templates = ['"x"'.ljust(length) for length in (8192, 8193)]
    assert [refuses(InputTransformer, {}, each) for each in templates] == [False, True]


# -- Lambda -----------------------------------------------------------------------------------


def stream_mapping(template: Cloud, **properties: Any) -> None:
    template.add("Stream", "AWS::Kinesis::Stream", ShardCount=1)
    template.function("Function", "def handler(event, context): pass")
    options = {"StartingPosition": "LATEST", **properties}
    template.mapping("Mapping", arn("Stream"), "Function", **options)


@crosses("lambda.tumbling_window_s")
def test_a_tumbling_window_has_fifteen_minutes(template: Cloud, rehearse: Rehearse) -> None:
    stream_mapping(template, TumblingWindowInSeconds=901)
    with pytest.raises(UnsupportedTemplateError, match="is from 0 to 900"):
        rehearse()
    template.resources["Mapping"]["Properties"]["TumblingWindowInSeconds"] = 900
    rehearse()


@crosses("kinesis.retention_hours")
def test_a_stream_keeps_records_for_a_year(template: Cloud, rehearse: Rehearse) -> None:
    template.add("Stream", "AWS::Kinesis::Stream", ShardCount=1, RetentionPeriodHours=8761)
    with pytest.raises(UnsupportedTemplateError, match="is from 24 to 8760"):
        rehearse()
    template.resources["Stream"]["Properties"]["RetentionPeriodHours"] = 8760
    rehearse()


@crosses("lambda.queue_pollers")
def test_pollers_of_a_queue_grow_to_1250() -> None:
    mapping: Any = SimpleNamespace(
        options=SimpleNamespace(maximum_concurrency=None),
        _active=1,
        _busy_since=0.0,
        _scheduler=SimpleNamespace(now=lambda: 3600.0),
    )
    assert QueueMapping._limit(cast("QueueMapping", mapping)) == 1250


@crosses("lambda.payload_bytes")
def test_a_response_has_six_megabytes(template: Cloud, rehearse: Rehearse) -> None:
    template.function("F", "def handler(event, context): return 'x' * event")
    shop = rehearse()
    assert not shop.invoke("Shop/F", 6_291_454).failed
    answer = shop.invoke("Shop/F", 6_291_455)
    assert answer.payload["errorType"] == "Function.ResponseSizeTooLarge"


@crosses("lambda.concurrent_executions")
def test_functions_share_the_concurrency_that_none_has_reserved(
    template: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/lambda-concurrency.html"""
    code = "import time\ndef handler(event, context): time.sleep(10)"
    for name in ("A", "B"):
        template.function(name, code, Timeout=20)
    template.function("Own", code, Timeout=20, ReservedConcurrentExecutions=5)
    shop = rehearse(quotas={"lambda.concurrent_executions": 105})
    for index in range(101):
        path = f"Shop/{'AB'[index % 2]}"
        shop.lambdas.invoke_async(shop.function(path), "{}", source="test")
    shop.run_for(5)
    assert len(shop.meter.of("throttle")) > 0
    assert sum(function.active for function in shop.functions) == 100
    shop.lambdas.invoke_async(shop.function("Shop/Own"), "{}", source="test")
    shop.run_for(1)
    assert shop.function("Shop/Own").active == 1
    shop.run_until_idle()
    assert len(shop.meter.of("invocation")) == 102


# -- deliveries -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "size"),
    [("Small", 2_000), ("Function", 1_048_100)],
    ids=["a queue with a limit of its own", "a function, which takes a megabyte"],
)
def test_an_event_too_large_for_its_target_goes_to_the_dead_letter_queue(
    template: Cloud, rehearse: Rehearse, target: str, size: int
) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-dlq.html"""
    template.add("Bus", "AWS::Events::EventBus", Name="bus")
    template.queue("Dead", MaximumMessageSize=1_048_576)
    template.queue("Small", MaximumMessageSize=1024)
    template.function("Function", "def handler(event, context): pass")
    template.permission(
        "Permission",
        arn("Function"),
        "events.amazonaws.com",
    )
    input_ = {"InputPath": "$.detail"} if target == "Small" else {}
    dead = {"DeadLetterConfig": {"Arn": arn("Dead")}}
    template.rule("Rule", {"source": ["s"]}, {"Arn": arn(target), **dead, **input_})
    shop = rehearse(quotas={"lambda.async_payload_bytes": 1_048_000})
    for text in ("x" * 500, "x" * size):
        entry = {"Source": "s", "DetailType": "k", "Detail": json.dumps({"a": text})}
        shop.client("events").put_events(Entries=[{"EventBusName": "bus", **entry}])
    shop.run_until_idle()
    (parked,) = shop.messages("Shop/Dead")
    assert parked["attributes"]["ERROR_CODE"] in ("INVALID_PARAMETER", "InvalidParameterValue")
    delivered = len(shop.messages("Shop/Small")) + len(shop.meter.of("invocation"))
    assert delivered == 1


def test_an_event_too_large_for_its_dead_letter_queue_is_lost(
    template: Cloud, rehearse: Rehearse
) -> None:
    template.add("Bus", "AWS::Events::EventBus", Name="bus")
    template.queue("Dead", MaximumMessageSize=1024)
    target = {"Arn": arn("Dead"), "DeadLetterConfig": {"Arn": arn("Dead")}}
    template.rule("Rule", {"source": ["s"]}, target)
    shop = rehearse()
    entry = {"Source": "s", "DetailType": "k", "Detail": json.dumps({"a": "x" * 2000})}
    shop.client("events").put_events(Entries=[{"EventBusName": "bus", **entry}])
    shop.run_until_idle()
    (lost,) = shop.meter.of("discarded")
    assert (lost.source, lost.detail["refused"]) == ("Shop/Rule", True)


def test_a_notification_too_large_for_its_function_is_given_up(
    template: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/sns/latest/dg/sns-message-delivery-retries.html"""
    template.add("Topic", "AWS::SNS::Topic", MaximumMessageSize=1_048_576)
    template.function("Function", "def handler(event, context): pass")
    template.permission(
        "Permission",
        arn("Function"),
        "sns.amazonaws.com",
    )
    template.add(
        "Subscription",
        "AWS::SNS::Subscription",
        TopicArn={"Ref": "Topic"},
        Protocol="lambda",
        Endpoint=arn("Function"),
    )
    shop = rehearse()
    topic = shop.physical_id("Shop/Topic")
    shop.client("sns").publish(TopicArn=topic, Message="x" * 1_048_576)
    shop.run_until_idle()
    (lost,) = shop.meter.of("discarded")
    assert lost.detail["condition"] == "RequestEntityTooLargeException"


# -- SQS --------------------------------------------------------------------------------------


@crosses("sqs.in_flight")
def test_a_queue_has_120000_messages_in_flight(template: Cloud, rehearse: Rehearse) -> None:
    template.queue("Queue")
    shop = rehearse()
    sqs = shop.client("sqs")
    url = shop.resource("Shop/Queue", "AWS::SQS::Queue").physical_id
    sqs.send_message(QueueUrl=url, MessageBody="x")
    model = shop.queues.by_path("Shop/Queue").model
    hidden = SimpleNamespace(visible_at=float("inf"), delayed_until=0, sent_timestamp=0)
    # To send and receive so many messages would take minutes.
    model._messages += [hidden] * 119_999
    model.pending_messages.update(range(119_999))
    (message,) = sqs.receive_message(QueueUrl=url)["Messages"]
    assert message["Body"] == "x"
    assert outcome(sqs.receive_message, QueueUrl=url) == "OverLimit"
    model._messages.remove(hidden)
    assert outcome(sqs.receive_message, QueueUrl=url) == ""


@crosses("sqs.moves", "sqs.move_rate", "sqs.move_s")
def test_moves_of_messages_are_limited_in_number_rate_and_time(
    template: Cloud, rehearse: Rehearse
) -> None:
    for index in range(101):
        template.add(f"Dead{index}", "AWS::SQS::Queue", MessageRetentionPeriod=1_209_600)
        redrive = {"deadLetterTargetArn": arn(f"Dead{index}"), "maxReceiveCount": 3}
        template.add(f"Queue{index}", "AWS::SQS::Queue", RedrivePolicy=redrive)
    shop = rehearse()
    sqs = shop.client("sqs")

    def arn_of(name: str) -> str:
        return str(shop.resource(f"Shop/{name}", "AWS::SQS::Queue").attributes["Arn"])

    def start(index: int, rate: int) -> str:
        return outcome(
            sqs.start_message_move_task,
            SourceArn=arn_of(f"Dead{index}"),
            MaxNumberOfMessagesPerSecond=rate,
        )

    for index in range(100):
        queue = shop.queues.by_path(f"Shop/Dead{index}")
        for _ in range(2):
            queue.send("x")
    assert start(0, 501) == "InvalidParameterValue"
    assert {start(index, 500) for index in range(99)} == {""}
    assert [start(99, 1), start(100, 1)] == ["", "RequestThrottled"]


@crosses("sqs.move_s")
def test_a_move_of_messages_ends_after_36_hours(
    template: Cloud, rehearse: Rehearse, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = template.add("Dead", "AWS::SQS::Queue", MessageRetentionPeriod=1_209_600)
    redrive = {"deadLetterTargetArn": arn(dead), "maxReceiveCount": 3}
    template.add("Queue", "AWS::SQS::Queue", RedrivePolicy=redrive)
    shop = rehearse()
    shop.queues.by_path("Shop/Dead").send("x")
    source = shop.resource("Shop/Dead").attributes["Arn"]
    moves = shop._deployment.message_moves
    monkeypatch.setattr(moves, "_move_one", lambda *_: True)
    shop.client("sqs").start_message_move_task(SourceArn=source, MaxNumberOfMessagesPerSecond=1)
    # It would have to move a million messages.
    task: Any = moves._tasks[0]
    task.to_move = 10**6
    shop.run_for(129_599)
    assert task.status == "RUNNING"
    shop.run_for(2)
    assert task.status == "FAILED"


# -- Step Functions ---------------------------------------------------------------------------


def machine(template: Cloud, states: dict[str, Any], kind: str = "STANDARD") -> None:
    template.add(
        "Machine",
        "AWS::StepFunctions::StateMachine",
        RoleArn=arn("Role"),
        StateMachineType=kind,
        DefinitionString=json.dumps({"StartAt": next(iter(states)), "States": states}),
    )


def run(shop: Rehearsal, text: str = "{}") -> dict[str, Any]:
    sfn = shop.client("stepfunctions")
    machine_arn = shop.physical_id("Shop/Machine")
    execution = sfn.start_execution(stateMachineArn=machine_arn, input=text)["executionArn"]
    shop.run_until_idle(400 * 86_400.0)
    return dict(sfn.describe_execution(executionArn=execution))


@crosses("stepfunctions.data_bytes")
def test_a_state_has_an_output_of_256_kilobytes(template: Cloud, rehearse: Rehearse) -> None:
    template.function("F", "def handler(event, context): return 'x' * event", FunctionName="f")
    function = "arn:aws:lambda:eu-central-1:123456789012:function:f"
    machine(template, {"Task": {"Type": "Task", "Resource": function, "End": True}})
    shop = rehearse()
    assert run(shop, "262142")["status"] == "SUCCEEDED"
    failed = run(shop, "262143")
    assert (failed["status"], failed["error"]) == ("FAILED", "States.DataLimitExceeded")


@crosses("stepfunctions.history_events")
def test_a_standard_execution_ends_with_25000_events(template: Cloud, rehearse: Rehearse) -> None:
    """Each state has two events. https://docs.aws.amazon.com/step-functions/latest/dg/bp-history-limit.html"""
    template.role("Role")
    machine(template, {"Again": {"Type": "Pass", "Next": "Again"}})
    shop = rehearse()
    failed = run(shop)
    assert (failed["status"], failed["error"]) == ("FAILED", "States.Runtime")
    assert failed["cause"].endswith("history events (25000).")


@crosses("stepfunctions.express_s")
def test_an_express_execution_has_five_minutes(template: Cloud, rehearse: Rehearse) -> None:
    template.role("Role")
    machine(template, {"Wait": {"Type": "Wait", "SecondsPath": "$", "End": True}}, "EXPRESS")
    shop = rehearse()
    sfn, machine_arn = shop.client("stepfunctions"), shop.physical_id("Shop/Machine")

    def status(seconds: int) -> str:
        answer = sfn.start_sync_execution(stateMachineArn=machine_arn, input=str(seconds))
        return str(answer["status"])

    assert [status(299), status(301)] == ["SUCCEEDED", "TIMED_OUT"]


@crosses("stepfunctions.standard_s")
def test_a_standard_execution_has_a_year(template: Cloud, rehearse: Rehearse) -> None:
    template.role("Role")
    machine(template, {"Wait": {"Type": "Wait", "SecondsPath": "$", "End": True}})
    shop = rehearse()
    assert run(shop, str(364 * 86_400))["status"] == "SUCCEEDED"
    assert run(shop, str(366 * 86_400))["status"] == "TIMED_OUT"


@crosses("stepfunctions.map_batch_bytes")
def test_a_batch_of_a_distributed_map_has_256_kilobytes(
    template: Cloud, rehearse: Rehearse
) -> None:
    """Each item counts with the input that its batch adds."""
    template.role("Role")
    count = {"Type": "Pass", "Parameters": {"n.$": "States.ArrayLength($.Items)"}, "End": True}
    distributed = {
        "Type": "Map",
        "ItemsPath": "$.xs",
        "ItemBatcher": {"MaxItemsPerBatch": 9, "BatchInput": {"x.$": "$.x"}},
        "ItemProcessor": {
            "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
            "StartAt": "Count",
            "States": {"Count": count},
        },
        "End": True,
    }
    machine(template, {"Map": distributed})
    shop = rehearse()

    def counts(size: int) -> Any:
        return json.loads(run(shop, json.dumps({"xs": [1, 2], "x": "x" * size}))["output"])

    assert counts(131_000) == [{"n": 2}]
    assert counts(131_100) == [{"n": 1}, {"n": 1}]


def test_quotas_are_checked(template: Cloud) -> None:
    template.queue("Queue")
    directory = template.write()
    wrong: tuple[tuple[Any, str], ...] = (
        ({"sqs.delai_s": 1}, "no limit 'sqs.delai_s': give one of sqs.message_bytes, "),
        ({"sqs.delay_s": 901}, "sqs.delay_s is 901, which AWS grants nobody: give at most 900"),
        ({"sqs.delay_s": "9"}, "sqs.delay_s is '9': give a whole number"),
        ({"events.rules": -1}, "events.rules is -1: give a whole number"),
    )
    for quotas, message in wrong:
        with pytest.raises(RehearsalError, match=message):
            Rehearsal(directory, quotas=quotas)
