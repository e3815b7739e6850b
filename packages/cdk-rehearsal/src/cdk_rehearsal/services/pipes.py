"""EventBridge Pipes: from a queue or stream through an enrichment to a target.

A pipe polls its source as an event source mapping does: ``PipeRunner`` takes the place of Lambda.
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-pipes.html
"""

import base64
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from cdk_rehearsal.authorization.decisions import Denied
from cdk_rehearsal.core import Core
from cdk_rehearsal.services.functions import InvocationResult
from cdk_rehearsal.services.invocation import LambdaService
from cdk_rehearsal.target_inputs import InputTransformer, JsonPath

SERVICE = "pipes.amazonaws.com"
SOURCES = frozenset({"dynamodb", "kinesis", "sqs"})
TARGETS = frozenset({"events", "kinesis", "lambda", "sns", "sqs", "states"})
ENRICHMENTS = frozenset({"lambda", "states"})
_PLACEHOLDER = re.compile(r"<(\$[^>]*|aws\.pipes\.[\w.-]+)>")


@dataclass(frozen=True)
class Pipe:
    """A pipe as the template describes it."""

    path: str
    name: str
    arn: str
    role: str
    target: str
    parameters: Mapping[str, Any]
    enrichment: str | None = None
    enrichment_template: str | None = None
    template: str | None = None
    reads: Callable[[Any], Any] = field(default=lambda record: record)
    """The form in which a record of the source is an event."""


class PipeFailed(Exception):
    """The enrichment or the target did not take a batch."""


class PipeRunner:
    """Enriches, transforms and delivers the batches of pipes."""

    def __init__(self, core: Core, lambdas: LambdaService) -> None:
        self._core = core
        self._lambdas = lambdas
        self._targets: Mapping[str, Callable[[Pipe, list[Any]], None]] = {
            "events": self._put_events,
            "kinesis": self._put_records,
            "lambda": self._invoke,
            "sns": self._publish,
            "sqs": self._send,
            "states": self._execute,
        }

    def invoke(self, pipe: Pipe, payload: str, *, source: str, **detail: Any) -> InvocationResult:
        """Hands a batch of records on; an error lets the poller try it again."""
        request_id = self._core.new_id()
        events = [pipe.reads(record) for record in json.loads(payload)["Records"]]
        try:
            if pipe.enrichment is not None:
                events = self._enriched(pipe, events)
            events = [_transformed(pipe.template, event, pipe) for event in events]
            if events:
                self._targets[pipe.target.split(":")[2]](pipe, events)
        except (PipeFailed, ClientError) as error:
            self._report(pipe, "failed", error=str(error))
            return InvocationResult({"errorMessage": str(error)}, "Unhandled", request_id)
        self._report(pipe, "delivered" if events else "filtered")
        return InvocationResult(None, None, request_id)

    def _report(self, pipe: Pipe, outcome: str, **detail: Any) -> None:
        target = self._core.path_of(pipe.target)
        self._core.meter.add("delivery", pipe.path, target, outcome=outcome, **detail)

    def _enriched(self, pipe: Pipe, events: list[Any]) -> list[Any]:
        """https://docs.aws.amazon.com/eventbridge/latest/userguide/pipes-enrichment.html."""
        arn = str(pipe.enrichment)
        given = json.dumps([_transformed(pipe.enrichment_template, e, pipe) for e in events])
        if ":lambda:" in arn:
            self._authorize(pipe, "lambda:InvokeFunction", arn)
            result = self._lambdas.invoke(self._lambdas.function(arn), given, source=pipe.path)
            if result.failed:
                raise PipeFailed(f"the enrichment failed: {result.payload}")
            answer = result.payload
        else:
            answer = self._executed(pipe, arn, given)
        if answer in (None, "", {}, []):
            return []
        return answer if isinstance(answer, list) else [answer]

    def _executed(self, pipe: Pipe, arn: str, given: str) -> Any:
        self._authorize(pipe, "states:StartSyncExecution", arn)
        done = self._core.client("stepfunctions").start_sync_execution(
            stateMachineArn=arn, input=given
        )
        if done["status"] != "SUCCEEDED":
            raise PipeFailed(f"the execution ended with {done['status']}")
        return json.loads(done.get("output") or "null")

    def _authorize(self, pipe: Pipe, action: str, resource: str) -> None:
        """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-pipes-permissions.html."""
        access = self._core.access
        if not access.is_assumable(pipe.role, service=SERVICE, source_arn=pipe.arn):
            raise PipeFailed(
                f"the role {pipe.role} does not let {SERVICE} assume it for {pipe.arn}"
            )
        try:
            access.authorize(access.session(pipe.role, pipe.name), action, resource)
        except Denied as denied:
            raise PipeFailed(str(denied)) from None

    # -- targets: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-pipes-event-target.html

    def _is_asynchronous(self, pipe: Pipe, name: str) -> bool:
        stated = pipe.parameters.get(name, {}).get("InvocationType", "REQUEST_RESPONSE")
        return bool(stated == "FIRE_AND_FORGET")

    def _invoke(self, pipe: Pipe, events: list[Any]) -> None:
        self._authorize(pipe, "lambda:InvokeFunction", pipe.target)
        function, payload = self._lambdas.function(pipe.target), json.dumps(events)
        if self._is_asynchronous(pipe, "LambdaFunctionParameters"):
            self._lambdas.invoke_async(function, payload, source=pipe.path)
        elif self._lambdas.invoke(function, payload, source=pipe.path).failed:
            raise PipeFailed("the function failed")

    def _execute(self, pipe: Pipe, events: list[Any]) -> None:
        if not self._is_asynchronous(pipe, "StepFunctionStateMachineParameters"):
            self._executed(pipe, pipe.target, json.dumps(events))
            return
        self._authorize(pipe, "states:StartExecution", pipe.target)
        self._core.client("stepfunctions").start_execution(
            stateMachineArn=pipe.target, input=json.dumps(events)
        )

    def _put_events(self, pipe: Pipe, events: list[Any]) -> None:
        self._authorize(pipe, "events:PutEvents", pipe.target)
        stated = pipe.parameters.get("EventBridgeEventBusParameters", {})
        for event in events:
            entry = {
                "EventBusName": pipe.target,
                "Source": _dynamic(stated.get("Source"), event) or f"Pipe {pipe.name}",
                "DetailType": _dynamic(stated.get("DetailType"), event)
                or f"Event from {pipe.name}",
                "Detail": json.dumps(event),
                "Resources": stated.get("Resources", []),
            }
            answer = self._core.client("events").put_events(Entries=[entry])
            if answer["FailedEntryCount"]:
                raise PipeFailed(str(answer["Entries"][0].get("ErrorMessage")))

    def _put_records(self, pipe: Pipe, events: list[Any]) -> None:
        self._authorize(pipe, "kinesis:PutRecords", pipe.target)
        key = pipe.parameters.get("KinesisStreamParameters", {}).get("PartitionKey")
        for event in events:
            self._core.client("kinesis").put_record(
                StreamARN=pipe.target,
                PartitionKey=str(_dynamic(key, event)),
                Data=json.dumps(event).encode(),
            )

    def _publish(self, pipe: Pipe, events: list[Any]) -> None:
        self._authorize(pipe, "sns:Publish", pipe.target)
        for event in events:
            self._core.client("sns").publish(TopicArn=pipe.target, Message=_text(event))

    def _send(self, pipe: Pipe, events: list[Any]) -> None:
        self._authorize(pipe, "sqs:SendMessage", pipe.target)
        client = self._core.client("sqs")
        url = client.get_queue_url(QueueName=pipe.target.rpartition(":")[2])["QueueUrl"]
        stated = pipe.parameters.get("SqsQueueParameters", {})
        for event in events:
            options = {
                name: str(_dynamic(stated[name], event))
                for name in ("MessageGroupId", "MessageDeduplicationId")
                if name in stated
            }
            client.send_message(QueueUrl=url, MessageBody=_text(event), **options)


def _text(event: Any) -> str:
    return event if isinstance(event, str) else json.dumps(event)


def _dynamic(stated: Any, event: Any) -> Any:
    """The value of a parameter, which may be a path in the event.

    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-pipes-event-target.html
    """
    if isinstance(stated, str) and stated.startswith("$."):
        return JsonPath(stated).select(_parsed(event))
    return stated


def _transformed(template: str | None, event: Any, pipe: Pipe) -> Any:
    """The event that a template makes of another one.

    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-pipes-input-transformation.html
    """
    if template is None:
        return event
    known = {
        "aws.pipes.event.json": event,
        "aws.pipes.pipe-arn": pipe.arn,
        "aws.pipes.pipe-name": pipe.name,
    }
    names: dict[str, str] = {}

    def named(match: re.Match[str]) -> str:
        return f"<{names.setdefault(match[1], f'p{len(names)}')}>"

    renamed = _PLACEHOLDER.sub(named, template)
    document = {"event": _parsed(event)}
    paths: dict[str, str] = {}
    for stated, name in names.items():
        if stated.startswith("$"):
            paths[name] = f"$.event{stated[1:]}"
        else:
            document[name] = known.get(stated)
            paths[name] = f"$.{name}"
    text = template
    if names:
        transformer = InputTransformer(paths, renamed)
        text = transformer.apply(document, rule_arn="", rule_name="", ingestion_time=0.0)
    try:
        return json.loads(text)
    except ValueError:
        return text


def _parsed(event: Any) -> Any:
    """An event whose body or data is parsed if it is JSON: paths may lead into it."""
    if not isinstance(event, Mapping):
        return event
    parsed = dict(event)
    for name, decode in (("body", str), ("data", lambda text: base64.b64decode(text).decode())):
        if isinstance(event.get(name), str):
            try:
                parsed[name] = json.loads(decode(event[name]))
            except ValueError:
                continue
    return parsed
