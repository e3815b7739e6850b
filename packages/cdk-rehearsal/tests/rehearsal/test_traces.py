"""Traces: spans that handlers log and hops that the rehearsal knows, as OTLP."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status, TracesData

from cdk_rehearsal import Rehearsal, RehearsalError, Traces, require_destination
from rehearsal.cloud import Cloud, arn
from rehearsal.conftest import Rehearse

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{SPAN}-01"
SHIP = """
    import json

    def handler(event, context):
        for number, record in enumerate(event["Records"]):
            envelope = json.loads(record["body"])["detail"]
            print(json.dumps({
                "type": "span", "trace_id": envelope["traceparent"][3:35],
                "span_id": f"{number:015x}1", "parent_id": envelope["traceparent"][36:52],
                "name": "ship", "kind": "consumer", "start": "2026-01-05T08:00:01+00:00",
                "duration_ms": 2.5, "service": "shipping",
                "outcome": envelope.get("outcome", "done"),
                "causation_id": envelope["id"], "cold": True, "attempt": 2, "ratio": 0.5,
                "published": ["a", "b"], "links": ["00-" + "1" * 32 + "-" + "2" * 16 + "-01"],
            }))
        if envelope.get("fails"):
            raise ValueError
"""


@pytest.fixture
def shop(template: Cloud, rehearse: Rehearse) -> Rehearsal:
    """A bus, a queue with a dead-letter queue, and a function that logs a span."""
    template.bus("Bus")
    template.queue("Dead")
    template.queue("Orders", dead_letters="Dead", receives=2, VisibilityTimeout=30)
    template.rule("Placed", {"source": ["shop"]}, {"Arn": arn("Orders")})
    template.function("Ship", SHIP)
    template.mapping("Mapping", arn("Orders"), "Ship")
    return rehearse()


def put(shop: Rehearsal, id_: str = "e-1", **detail: object) -> None:
    envelope = {"id": id_, "type": "OrderPlaced.v1", "subject": "o-1", "traceparent": PARENT}
    entry = {
        "Source": "shop",
        "DetailType": "OrderPlaced.v1",
        "EventBusName": shop.physical_id("Shop/Bus"),
        "Detail": json.dumps({**envelope, "time": "2026-01-05T08:00:00Z", **detail}),
    }
    shop.client("events").put_events(Entries=[entry])
    shop.run_until_idle()


def tree(traces: Traces) -> list[tuple[str, str, str]]:
    """Name, name of the parent and outcome of the spans, in order."""
    names = {span.span_id: span.name for span in traces.spans}
    return [
        (span.name, names.get(span.parent_id, span.parent_id), span.attributes["outcome"])
        for span in traces.spans
    ]


def test_hops_and_logged_spans_are_one_tree(shop: Rehearsal) -> None:
    traces = Traces(shop)
    put(shop)
    assert tree(traces) == [
        ("publish OrderPlaced.v1", SPAN, "published"),
        ("deliver OrderPlaced.v1", "publish OrderPlaced.v1", "delivered"),
        ("ship", SPAN, "done"),
    ]
    assert list(traces.by_trace()) == [TRACE]


def test_an_event_without_a_context_has_no_hops(template: Cloud, rehearse: Rehearse) -> None:
    template.bus("Bus")
    shop = rehearse()
    traces = Traces(shop)
    for traceparent in ("", "no context", f"{PARENT}-more", PARENT.upper()):
        put(shop, traceparent=traceparent)
    assert traces.spans == []


def test_a_span_in_another_form_is_named_with_its_function(shop: Rehearsal) -> None:
    traces = Traces(shop)
    put(shop, traceparent="no context")
    with pytest.raises(RehearsalError, match="Shop/Ship logs a span in another form"):
        _ = traces.spans
    assert [record.detail["error"] for record in shop.meter.of("invocation")] == [None]


def test_what_is_parked_and_what_is_repeated_is_in_the_tree(shop: Rehearsal) -> None:
    traces = Traces(shop)
    put(shop, fails=True)
    assert [name for name, _, _ in tree(traces)].count("ship") == 2
    assert [span.repetition for span in traces.spans if span.name == "ship"] == [0, 1]
    (parked,) = (span for span in traces.spans if span.name == "park OrderPlaced.v1")
    assert (parked.attributes["from"], parked.attributes["to"]) == ("Shop/Orders", "Shop/Dead")


def test_an_execution_of_a_workflow_is_a_span(template: Cloud, rehearse: Rehearse) -> None:
    template.role("Role")
    template.add(
        "Machine",
        "AWS::StepFunctions::StateMachine",
        RoleArn=arn("Role"),
        DefinitionString=json.dumps(
            {
                "StartAt": "Wait",
                "States": {
                    "Wait": {"Type": "Wait", "Seconds": 5, "Next": "Bad"},
                    "Bad": {"Type": "Fail"},
                },
            }
        ),
    )
    shop = rehearse()
    traces = Traces(shop)
    envelope = {"id": "e-1", "type": "OrderPlaced.v1", "traceparent": PARENT}
    shop.client("stepfunctions").start_execution(
        stateMachineArn=shop.physical_id("Shop/Machine"), input=json.dumps({"detail": envelope})
    )
    shop.client("stepfunctions").start_execution(
        stateMachineArn=shop.physical_id("Shop/Machine"), input="[]"
    )
    shop.run_until_idle()
    (span,) = traces.spans
    assert (span.name, span.parent_id) == ("execute workflow of OrderPlaced.v1", SPAN)
    assert span.attributes["outcome"] == "failed"
    assert span.end_ns - span.start_ns == 5_000_000_000


# -- OTLP --------------------------------------------------------------------------------------


def exported(traces: Traces, file: Path) -> list[dict[str, Any]]:
    traces.export(str(file))
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_a_file_has_a_trace_in_each_line(shop: Rehearsal, tmp_path: Path) -> None:
    """https://opentelemetry.io/docs/specs/otel/protocol/file-exporter/."""
    traces = Traces(shop)
    put(shop)
    put(shop, "e-2", traceparent=f"00-{'a' * 32}-{SPAN}-01")
    found = exported(traces, tmp_path / "traces.jsonl")
    ids = [
        {
            span["traceId"]
            for resource in line["resourceSpans"]
            for scope in resource["scopeSpans"]
            for span in scope["spans"]
        }
        for line in found
    ]
    assert ids == [{TRACE}, {"a" * 32}]


def test_a_span_has_the_form_of_otlp(shop: Rehearsal, tmp_path: Path) -> None:
    """https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding."""
    traces = Traces(shop)
    put(shop, outcome="failed")
    (line,) = exported(traces, tmp_path / "traces.jsonl")
    (shipping,) = (
        resource
        for resource in line["resourceSpans"]
        if resource["resource"]["attributes"]
        == [{"key": "service.name", "value": {"stringValue": "shipping"}}]
    )
    (scope,) = shipping["scopeSpans"]
    assert scope["scope"] == {"name": "Shop/Ship"}
    (span,) = scope["spans"]
    attributes = {each["key"]: each["value"] for each in span.pop("attributes")}
    assert span == {
        "traceId": TRACE,
        "spanId": "0000000000000001",
        "parentSpanId": SPAN,
        "name": "ship",
        "kind": 5,
        "startTimeUnixNano": "1767600001000000000",
        "endTimeUnixNano": "1767600001002500000",
        "links": [{"traceId": "1" * 32, "spanId": "2" * 16}],
        "status": {"code": 2, "message": "failed"},
    }
    assert attributes == {
        "outcome": {"stringValue": "failed"},
        "cloudevents.event_id": {"stringValue": "e-1"},
        "faas.coldstart": {"boolValue": True},
        "attempt": {"intValue": "2"},
        "ratio": {"doubleValue": 0.5},
        "published": {
            "arrayValue": {"values": [{"stringValue": "a"}, {"stringValue": "b"}]},
        },
    }


def test_the_decoder_of_opentelemetry_accepts_a_file(shop: Rehearsal, tmp_path: Path) -> None:
    """It rejects unknown fields, and takes ids as base64: so they are checked in the JSON.

    https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding
    """
    traces = Traces(shop)
    put(shop)
    put(shop, outcome="failed")
    spans = []
    for line in exported(traces, tmp_path / "traces.jsonl"):
        message = json_format.ParseDict(line, TracesData())
        spans += [s for r in message.resource_spans for c in r.scope_spans for s in c.spans]
        stated = [s for r in line["resourceSpans"] for c in r["scopeSpans"] for s in c["spans"]]
        for span in stated:
            ids = [span, *span["links"]]
            assert {(len(each["traceId"]), len(each["spanId"])) for each in ids} == {(32, 16)}
            assert len(span.get("parentSpanId", "")) in {0, 16}
    assert {span.kind for span in spans} >= {Span.SPAN_KIND_CONSUMER}
    assert {span.status.code for span in spans} == {Status.STATUS_CODE_UNSET, 2}
    for span in spans:
        assert span.name
        assert 0 < span.start_time_unix_nano <= span.end_time_unix_nano
        assert {attribute.key for attribute in span.attributes} >= {"outcome"}
        assert all(link.trace_id and link.span_id for link in span.links)


@contextmanager
def receiver(status: int = 200) -> Iterator[tuple[str, list[Any]]]:
    """An OTLP receiver of this machine; yields its URL and what it receives."""
    received: list[Any] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            received.append((self.path, self.headers["content-type"], json.loads(body)))
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Says nothing."""

    server = HTTPServer(("127.0.0.1", 0), Receiver)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1/traces", received
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def collected(template: Cloud) -> Traces:
    """The spans of a rehearsal that has ended: it admits no connection."""
    template.bus("Bus")
    with Rehearsal(template.write()) as shop:
        traces = Traces(shop)
        put(shop)
    return traces


def test_an_endpoint_receives_them(template: Cloud) -> None:
    """https://opentelemetry.io/docs/specs/otlp/#otlphttp-request."""
    traces = collected(template)
    with receiver() as (url, received):
        assert traces.export(url) == 1
    ((path, content_type, message),) = received
    assert (path, content_type) == ("/v1/traces", "application/json")
    ((span,),) = (s["spans"] for r in message["resourceSpans"] for s in r["scopeSpans"])
    assert span["traceId"] == TRACE


def test_an_endpoint_that_refuses_them_is_an_error(template: Cloud) -> None:
    traces = collected(template)
    with receiver(503) as (url, _), pytest.raises(RehearsalError, match="does not take traces"):
        traces.export(url)


@pytest.mark.parametrize(
    ("destination", "said"),
    [
        ("http://collector.example:4318/v1/traces", "is not on this machine"),
        ("https://127.0.0.1.example/v1/traces", "is not on this machine"),
        ("/no/such/folder/traces.jsonl", "cannot be written"),
        (".", "cannot be written"),
    ],
)
def test_a_destination_that_cannot_work_is_named_before_a_run(destination: str, said: str) -> None:
    with pytest.raises(RehearsalError, match=said):
        require_destination(destination)


def test_a_check_of_a_file_leaves_no_file(tmp_path: Path) -> None:
    require_destination(str(tmp_path / "traces.jsonl"))
    assert [*tmp_path.iterdir()] == []
