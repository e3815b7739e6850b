"""Puts a rehearsal between the interpreter, botocore and moto, and takes it out again."""

from __future__ import annotations

import atexit
import gc
import json
import os
import random
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from botocore.client import BaseClient
from botocore.exceptions import BotoCoreError, ClientError
from moto import mock_aws
from moto.awslambda.exceptions import LambdaClientError
from moto.awslambda.models import LambdaBackend
from moto.dynamodb.models.table import StreamShard
from moto.events.models import EventsBackend, Replay
from moto.kinesis.models import Stream
from moto.moto_api._internal import mock_random
from moto.sqs.models import Queue

from cdk_rehearsal import clients, moto_patches, stepfunctions
from cdk_rehearsal.direct import DirectCalls
from cdk_rehearsal.egress import Egress, environment, set_environment
from cdk_rehearsal.environment import ExecutionEnvironment
from cdk_rehearsal.executions import ExecutionEvent
from cdk_rehearsal.faults import Call
from cdk_rehearsal.invoke import InvocationResult, PayloadTooLarge, Throttled
from cdk_rehearsal.patching import Patches

if TYPE_CHECKING:
    from cdk_rehearsal.rehearsal import Rehearsal

# Of what a rehearsal makes, nearly all stays: looking at it a second time finds hardly anything.
_GC_THRESHOLDS = (50_000, 100, 100)
# At its end Python would search all of it once more, for seconds, to free what goes anyway.
atexit.register(gc.freeze)

# Which parameter of an API call names the resource, by service.
_RESOURCE_PARAMETERS = {
    "dynamodb": "TableName",
    "lambda": "FunctionName",
    "s3": "Bucket",
    "scheduler": "GroupName",
    "secretsmanager": "SecretId",
    "sesv2": "FromEmailAddress",
    "sns": "TopicArn",
    "sqs": "QueueUrl",
    "stepfunctions": "stateMachineArn",
}


class Hooks:
    """All that is replaced while a rehearsal runs."""

    def __init__(self, rehearsal: Rehearsal) -> None:
        self._rehearsal = rehearsal
        self._patches = Patches()
        self._undo: list[Callable[[], object]] = []
        self._calls_api: Callable[..., Any] = BaseClient._make_api_call  # type: ignore[attr-defined]

    def install(self) -> None:
        """Start moto and replace what has to be replaced."""
        rehearsal = self._rehearsal
        patches = self._patches
        thresholds = gc.get_threshold()
        gc.set_threshold(*_GC_THRESHOLDS)
        self._undo.append(lambda: gc.set_threshold(*thresholds))
        self._undo.append(set_environment(environment(rehearsal.region)))
        Egress().install(patches)
        moto = mock_aws(config={"core": {"mock_credentials": False}})
        moto.start()
        self._undo.append(moto.stop)
        rehearsal.clock.start()
        self._undo.append(rehearsal.clock.stop)
        self._make_repeatable()
        patches.set(time, "sleep", rehearsal.scheduler.sleep)
        clients.patch(patches)
        sys.meta_path.insert(0, rehearsal.finder)
        self._undo.append(lambda: sys.meta_path.remove(rehearsal.finder))
        self._undo.append(moto_patches.install(rehearsal.scheduler))
        self._undo.append(stepfunctions.install(rehearsal, on_execution=self._executed))
        self._patch_moto()
        direct = DirectCalls(rehearsal.account)
        direct.install(patches)
        patches.set(BaseClient, "_make_api_call", self._api_call(direct.before(self._calls_api)))

    def settle(self) -> None:
        """Leave what is there by now to itself, and look for garbage only now and then.

        moto, botocore and a loaded assembly are some hundred thousand objects. Looking through them
        for cycles after each 700 new ones, as Python does, would take most of the time.
        """
        gc.freeze()
        self._undo.append(gc.unfreeze)

    def remove(self) -> None:
        """Put everything back, the last first."""
        self._patches.undo()
        while self._undo:
            self._undo.pop()()

    def _make_repeatable(self) -> None:
        """Let ids, jitter and tokens come from the seed, in the thread that runs the rehearsal."""
        state = random.getstate()
        self._undo.append(lambda: random.setstate(state))
        random.seed(self._rehearsal.seed)
        mock_random.seed(self._rehearsal.seed)
        thread = threading.get_ident()
        original = os.urandom
        generator = random.Random(self._rehearsal.seed)

        def urandom(size: int) -> bytes:
            if threading.get_ident() != thread:
                return original(size)
            return generator.randbytes(size)

        self._patches.set(os, "urandom", urandom)

    def _executed(self, event: ExecutionEvent) -> None:
        self._rehearsal.meter.add(
            "execution",
            self._rehearsal.path_of(event.state_machine_arn),
            event.state or "",
            what=event.kind,
            execution=event.execution_arn,
            duration_s=event.duration_s,
            status=event.status,
            error=event.error,
            cause=event.cause,
        )
        if event.status_change is not None:
            self._rehearsal.bus.put_service_event(
                "aws.states",
                "Step Functions Execution Status Change",
                event.status_change,
                resources=[event.execution_arn],
            )

    def _patch_moto(self) -> None:
        rehearsal = self._rehearsal
        add_message = Queue.add_message
        add_record = StreamShard.add
        put_record = Stream.put_record
        update_mapping = LambdaBackend.update_event_source_mapping

        def message_added(queue: Queue, message: Any) -> None:
            add_message(queue, message)
            rehearsal.queues.changed(queue.queue_arn)

        def record_added(shard: StreamShard, old: Any, new: Any) -> None:
            add_record(shard, old, new)
            rehearsal.streams.changed(shard.table.table_arn)

        def record_put(
            stream: Stream, partition_key: str, explicit_hash_key: str, data: str
        ) -> tuple[str, str]:
            number, shard_id = put_record(stream, partition_key, explicit_hash_key, data)
            rehearsal.streams.changed(stream.arn, shard_id)
            return number, shard_id

        def put_events(backend: EventsBackend, events: list[dict[str, Any]]) -> list[Any]:
            return rehearsal.bus.put_events(events, rehearsal.caller())

        def replay_events(replay: Replay, archive: Any) -> None:
            rehearsal.bus.replay(replay, archive)

        def mapping_updated(backend: LambdaBackend, uuid: str, spec: dict[str, Any]) -> Any:
            updated = update_mapping(backend, uuid, spec)
            if uuid in rehearsal.mappings:
                rehearsal.mappings[uuid].wake()
            return updated

        self._patches.set(LambdaBackend, "update_event_source_mapping", mapping_updated)
        self._patches.set(Queue, "add_message", message_added)
        self._patches.set(StreamShard, "add", record_added)
        self._patches.set(Stream, "put_record", record_put)
        self._patches.set(EventsBackend, "put_events", put_events)
        self._patches.set(Replay, "replay_events", replay_events)
        self._patches.set(LambdaBackend, "invoke", self._invoke())
        for part in (rehearsal.topics, rehearsal.buckets, rehearsal.people, rehearsal.internet):
            part.install(self._patches)
        rehearsal.schedules.install(self._patches)

    def _invoke(self) -> Callable[..., Any]:
        """Return what answers Lambda's Invoke API.

        https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html
        """
        rehearsal = self._rehearsal

        def invoke(
            backend: LambdaBackend,
            function_name: str,
            qualifier: str | None,
            body: Any,
            headers: Any,
            response_headers: dict[str, Any],
        ) -> bytes:
            model = backend.get_function(function_name, qualifier)
            function = rehearsal.lambdas.functions[model.function_arn]
            payload = (body.decode() if isinstance(body, bytes) else body) or "{}"
            try:
                json.loads(payload)
            except ValueError as error:
                raise _refusal(
                    400, "InvalidRequestContentException", f"Could not parse request body: {error}"
                ) from None
            source = rehearsal.caller()
            kind = headers.get("X-Amz-Invocation-Type") or headers.get("x-amz-invocation-type")
            try:
                if kind == "Event":
                    rehearsal.lambdas.invoke_async(function, payload, source=source)
                    return b""
                if kind == "DryRun":
                    return b""
                result: InvocationResult = rehearsal.run(
                    rehearsal.lambdas.invoke, function, payload, source=source
                )
            except Throttled as error:
                raise _refusal(429, "TooManyRequestsException", str(error)) from None
            except PayloadTooLarge as error:
                raise _refusal(413, "RequestTooLargeException", str(error)) from None
            if result.function_error:
                response_headers["x-amz-function-error"] = result.function_error
            answer = json.dumps(result.payload).encode()
            response_headers["Content-Length"] = str(len(answer))
            return answer

        return invoke

    def _api_call(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """Return what stands for each API call of each client: it takes time and is recorded."""
        rehearsal = self._rehearsal
        scheduler = rehearsal.scheduler
        thread = threading.get_ident()

        def make_api_call(client: Any, operation: str, parameters: dict[str, Any]) -> Any:
            if threading.get_ident() != thread or scheduler.current is None:
                with scheduler.guest():
                    return original(client, operation, parameters)
            environment = scheduler.current.environment
            if not isinstance(environment, ExecutionEnvironment):
                return original(client, operation, parameters)
            scheduler.sleep(rehearsal.latency.api_call(scheduler.random))
            service = client.meta.service_model.service_name
            target = rehearsal.path_of(_resource(service, parameters))
            perform = partial(original, client, operation)
            call = Call(service, operation, parameters, perform, scheduler.sleep)
            error: str | None = None
            try:
                environment.see_true_time()
                return rehearsal.faults.call(call, environment.function, target)
            except ClientError as failure:
                error = failure.response["Error"]["Code"]
                raise
            except BotoCoreError as failure:
                error = type(failure).__name__
                raise
            finally:
                environment.see_own_time()
                rehearsal.meter.add(
                    "call",
                    environment.function,
                    target,
                    service=service,
                    operation=operation,
                    error=error,
                )

        return make_api_call


def _refusal(status: int, code: str, message: str) -> LambdaClientError:
    error = LambdaClientError(code, message)
    error.code = status
    return error


def _resource(service: str, parameters: dict[str, Any]) -> str:
    """Return the physical id or ARN of what a call is about, empty if it does not say."""
    name = parameters.get(_RESOURCE_PARAMETERS.get(service, ""))
    if name is not None:
        return str(name)
    if "TransactItems" in parameters:
        for item in parameters["TransactItems"]:
            for operation in item.values():
                return str(operation.get("TableName", ""))
    if "RequestItems" in parameters:
        return str(next(iter(parameters["RequestItems"]), ""))
    if service == "kinesis":
        return str(parameters.get("StreamARN") or parameters.get("StreamName", ""))
    if service == "events" and parameters.get("Entries"):
        return str(parameters["Entries"][0].get("EventBusName", "default"))
    return ""
