"""Emulators that differ from AWS: addresses of their own, and no regular expressions."""

import json
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from tools.smoke.hops import Diagnosis, hops
from tools.smoke.stage import Stage

ENDPOINT = "http://127.0.0.1:4566"
RUN = "8d924e809641a9e1"
Answers = Callable[..., tuple[Any, Stubber]]


@pytest.fixture
def answers() -> Answers:
    """Returns the client of a service, and what answers in place of the service."""

    connect: Any = boto3.client

    def stubbed(service: str) -> tuple[Any, Stubber]:
        client = connect(
            service, region_name="eu-central-1", aws_access_key_id="a", aws_secret_access_key="b"
        )
        stub = Stubber(client)
        stub.activate()
        return client, stub

    return stubbed


@pytest.mark.parametrize(
    ("url", "called", "host"),
    [
        ("http://a1.execute-api.127.0.0.1:4566/", ENDPOINT, "a1.execute-api.127.0.0.1:4566"),
        (
            "https://a1.execute-api.eu-central-1.amazonaws.com",
            ENDPOINT,
            "a1.execute-api.eu-central-1.amazonaws.com",
        ),
        ("http://localhost:4567/shop", "http://localhost:4567/shop", None),
    ],
)
def test_an_api_whose_domain_only_the_endpoint_knows_is_called_there(
    answers: Answers, url: str, called: str, host: str | None
) -> None:
    client, stub = answers("cloudformation")
    outputs = [{"OutputKey": "ApiUrlDDEE0114", "OutputValue": url}]
    stack = {
        "StackName": "orderflow-dev-backbone",
        "CreationTime": 0,
        "StackStatus": "CREATE_COMPLETE",
        "Outputs": outputs,
    }
    stub.add_response("describe_stacks", {"Stacks": [stack]})

    stage = Stage("dev", lambda _: client, ENDPOINT)

    assert stage.api == (called, {"host": host} if host else {})


@pytest.mark.parametrize(("endpoint", "found"), [(ENDPOINT, 1), (None, 0)])
def test_an_emulator_without_regular_expressions_is_asked_for_all_lines(
    answers: Answers, endpoint: str | None, found: int
) -> None:
    """AWS is not: it knows them, and a busy stage has many lines."""
    clients = {"logs": answers("logs"), "cloudformation": answers("cloudformation")}
    group = {
        "LogicalResourceId": "PlaceOrderLog26354838",
        "PhysicalResourceId": "orders-log",
        "ResourceType": "AWS::Logs::LogGroup",
        "LastUpdatedTimestamp": 0,
        "ResourceStatus": "CREATE_COMPLETE",
    }
    clients["cloudformation"][1].add_response(
        "list_stack_resources", {"StackResourceSummaries": [group]}
    )
    span = {
        "type": "span",
        "span_id": "c52b7fb9391631ff",
        "start": "2026-11-30T07:22:11+00:00",
        "duration_ms": 336.1,
        "outcome": "done",
    }
    lines = [json.dumps({**span, "trace_id": trace}) for trace in (f"{RUN}7aa1", "another")]
    for messages in ([], lines, []) if endpoint else ([],):
        answer = {"events": [{"message": each} for each in messages]}
        clients["logs"][1].add_response("filter_log_events", answer)
    diagnosis = Diagnosis(Stage("dev", lambda name: clients[name][0], endpoint), RUN, 0)

    spans = diagnosis.spans(hops("Orders/PlaceOrder"))

    assert len(spans) == found
    assert [*diagnosis.problems] == ["patterns"] * found
    clients["logs"][1].assert_no_pending_responses()
