"""What a rehearsal uses of everything that AWS bills by use.

Rules of AWS are in `billing`, what tables use in `metered_tables`, and prices in `price_lists`.
"""

import json
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from moto.logs.models import logs_backends

from cdk_rehearsal.assembly import Resource
from cdk_rehearsal.billing import (
    API_CHUNK,
    CHUNK,
    GB,
    KB,
    LOG_EVENT,
    MONTH_S,
    chunks,
    event_requests,
    express_gb_s,
    function_gb_s,
    platform_bytes,
    sampled,
)
from cdk_rehearsal.bills import MeteredBill, Use, metered_bill
from cdk_rehearsal.core import PRINCIPAL, Core, Perform
from cdk_rehearsal.latency import NONE, Latency
from cdk_rehearsal.meter import Record
from cdk_rehearsal.metered_tables import MeteredTables
from cdk_rehearsal.price_lists import Price
from cdk_rehearsal.rehearsal import Rehearsal
from cdk_rehearsal.sandbox.patching import Patches
from cdk_rehearsal.services.functions import Function
from cdk_rehearsal.services.invocation import LambdaService
from cdk_rehearsal.services.queues import Queue
from cdk_rehearsal.services.streams import Streams

_DAY_S = 86_400
_STAYS_S = 365 * _DAY_S
"""How long data count that nothing deletes."""

_SHORTEST_S = 1e-3
"""The shortest time for which there are rates."""

_COUNTED_ELSEWHERE = frozenset(
    {
        *("dynamodb:DescribeTable", "events:PutEvents", "eventbridgev2:PutEvents"),
        *("eventbridgev2:PutRawEvents", "lambda:Invoke", "logs:PutLogEvents"),
        *("logs:CreateLogStream", "stepfunctions:StartExecution"),
        "stepfunctions:StartSyncExecution",
    }
)
"""Calls whose effects are records or log events, which are counted."""

_FREE = frozenset({"cognito-idp", "iam", "lambda", "scheduler", "ssm", "stepfunctions", "sts"})
"""Services whose calls cost nothing: users, schedules and executions do."""


class Metering:
    """Counts what a rehearsal uses, from now on until ``uses`` is called.

    To be created within the rehearsal, which should have the latency ``BILLED``: otherwise the code
    of handlers takes no time. Not counted are initializations, since few invocations are cold when
    orders keep coming, data transfer, and what is outside of the application.
    """

    def __init__(self, rehearsal: Rehearsal, *, code: Latency | None = None) -> None:
        """``code`` has the CPU time of handlers, if it takes none in the rehearsal."""
        latency = rehearsal._core.latency
        takes_time = latency.handler_cpu_s or latency.call_cpu_s
        self._code = NONE if code is None or takes_time else code
        self._rehearsal = rehearsal
        self._core: Core = rehearsal._core
        self._uses: defaultdict[Use, float] = defaultdict(float)
        self._metrics: set[tuple[str, ...]] = set()
        self._messages: Counter[str] = Counter()
        self._platform: Counter[str] = Counter()
        self._entered: Counter[str] = Counter()
        self._invoked: Counter[str] = Counter()
        self._begun: defaultdict[str, Counter[int]] = defaultdict(Counter)
        self._by_path: dict[str, Resource] = {}
        for resource in rehearsal.resources:
            self._by_path.setdefault(resource.path, resource)
        self._functions = {each.path: each for each in rehearsal.functions}
        self._of_type: defaultdict[str, dict[str, Resource]] = defaultdict(dict)
        for resource in rehearsal.resources:
            self._of_type[resource.type][resource.path] = resource
        core = self._core
        self._tables = MeteredTables(
            core.account, core.region, core.scheduler.now, self._add, rehearsal.resources
        )
        self._clocked: set[str] = set()
        self._since = core.scheduler.now()
        self._logs: defaultdict[str, _Log] = defaultdict(_Log)
        self._logged: Counter[tuple[str, str]] = Counter()
        for _ in self._new_lines():
            pass
        self._counting = True
        self._patch(rehearsal._hooks.patches)
        core.watchers.append(self._call)
        rehearsal.meter.listen(self._on_record)

    def uses(self) -> dict[Use, float]:
        """Ends the counting, and returns how many units were used of each price."""
        self._used = self.so_far()
        self._core.watchers.remove(self._call)
        self._ended = self._core.scheduler.now()
        self._counting = False
        return {use: units for use, units in self._used.items() if use.who not in self._clocked}

    def so_far(self) -> dict[Use, float]:
        """Returns how many units were used of each price so far, and counts on.

        Schedules of the templates are part of it, and custom metrics for the time so far. Only what
        is new since the last time is read.
        """
        self._count_logs()
        found = defaultdict(float, self._uses)
        for use, units in (*self._stored_logs(), *self._retries()):
            if units:
                found[use] += units
        return dict(found)

    def bill_so_far(self, prices: Mapping[str, Price]) -> MeteredBill:
        """Returns the bill of everything so far, and counts on."""
        months = self.seconds / MONTH_S
        metrics = {use: units * months for use, units in self._custom_metrics.items()}
        return metered_bill(
            {**self.so_far(), **metrics},
            prices,
            orders=1,
            rate=1 / max(self.seconds, _SHORTEST_S),
            messages=self.messages,
            keys=len(self.keys),
        )

    @property
    def seconds(self) -> float:
        """How long it has counted, in virtual time."""
        return self._core.scheduler.now() - self._since

    def bill(self, prices: Mapping[str, Price], *, orders: int, rate: float) -> MeteredBill:
        """Ends the counting, and returns the bill of each order.

        ``orders`` is how many came, and ``rate`` how many come in a second. Raises RehearsalError
        without any.
        """
        return metered_bill(
            self.uses(),
            prices,
            orders=orders,
            rate=rate,
            messages=self.messages,
            per_month=self.per_month,
            keys=len(self.keys),
        )

    @property
    def per_month(self) -> dict[Use, float]:
        """What a month uses, however many orders come, once ``uses`` was called.

        Schedules of the templates, their queues and functions, and custom metrics.
        """
        metrics = self._custom_metrics
        months = (self._ended - self._since) / MONTH_S
        clocked = {u: units / months for u, units in self._used.items() if u.who in self._clocked}
        return {**metrics, **clocked} if months else metrics

    @property
    def _custom_metrics(self) -> dict[Use, float]:
        """The custom metrics that a month has."""
        return {Use("metric", "custom metrics", "custom metrics"): float(len(self._metrics))}

    @property
    def messages(self) -> dict[str, int]:
        """The number of messages received from each queue that a mapping polls, by its path."""
        polled = {}
        for mapping in self._of_type["AWS::Lambda::EventSourceMapping"].values():
            path = self._core.path_of(str(mapping.properties.get("EventSourceArn")))
            if path in self._of_type["AWS::SQS::Queue"]:
                polled[path] = self._messages[path]
        return polled

    @cached_property
    def keys(self) -> list[str]:
        """The resources that encrypt with a key of KMS: each asks for a data key now and then."""
        names = ("KmsMasterKeyId", "KmsMessageKeyId", "StreamEncryption")
        return [
            path
            for path, resource in self._by_path.items()
            if any(resource.properties.get(name) for name in names)
        ]

    # -- collecting -----------------------------------------------------------------------

    def _add(self, price: str, kind: str, who: str, units: float) -> None:
        if units and self._counting:
            self._uses[Use(price, kind, who)] += units

    def _patch(self, patches: Patches) -> None:
        """Sees what services hand to queues, streams and functions without an API call."""
        send, receive = Queue.send, Queue.receive
        put, invoke = Streams.put_data, LambdaService.invoke_async

        def sent(queue: Queue, body: str, attributes: Any = None, **more: Any) -> str:
            self._queue(queue.path, "messages sent by services", len(body.encode()))
            return send(queue, body, attributes, **more)

        def received(queue: Queue, most: int, filters: Any) -> Any:
            messages = receive(queue, most, filters)
            if messages:
                size = sum(len(each.body.encode()) for each in messages)
                requests = max(chunks(len(messages), 10), chunks(size, CHUNK))
                self._add(self._queue_price(queue.path), "receives", queue.path, requests)
                self._messages[queue.path] += len(messages)
            return messages

        def put_data(streams: Streams, arn: str, key: str, data: bytes) -> None:
            self._stream(self._core.path_of(arn), len(key.encode()) + len(data))
            put(streams, arn, key, data)

        def invoke_async(
            lambdas: LambdaService, function: Function, payload: str, *, source: str
        ) -> str:
            more = event_requests(len(payload.encode())) - 1
            self._add("function_request", "further 64 KB of events", function.path, more)
            return invoke(lambdas, function, payload, source=source)

        patches.set(Queue, "send", sent)
        patches.set(Queue, "receive", received)
        patches.set(Streams, "put_data", put_data)
        patches.set(LambdaService, "invoke_async", invoke_async)

    def _call(self, perform: Perform, client: Any, operation: str, given: dict[str, Any]) -> Any:
        """Performs an API call; counts it if a function, a workflow or a subscriber makes it."""
        who = self._core.sender()
        principal = vars(client).get(PRINCIPAL)
        if who is None and principal is not None:
            who = self._core.path_of(principal.role)
        service = client.meta.service_model.service_name
        if (function := self._functions.get(who or "")) is not None:
            self._duration(function, self._code.call_cpu_s * function.slowness)
        if who is None or f"{service}:{operation}" in _COUNTED_ELSEWHERE:
            return perform(client, operation, given)
        if service == "dynamodb":
            return self._tables.call(who, perform, client, operation, given)
        answer = perform(client, operation, given)
        count = _CALLS.get(service)
        if count is not None:
            count(self, who, operation, given, answer)
        elif service not in _FREE:
            self._add(f"a call of {service}", operation, who, 1)
        return answer

    def _queue_price(self, path: str) -> str:
        queue = self._of_type["AWS::SQS::Queue"].get(path)
        fifo = queue is not None and queue.properties.get("FifoQueue")
        return "fifo_request" if fifo else "queue_request"

    # -- calls ----------------------------------------------------------------------------

    def _queue(self, path: str, kind: str, size: int, who: str | None = None) -> None:
        self._add(self._queue_price(path), kind, who or path, chunks(size, CHUNK))

    def _sqs(self, who: str, operation: str, given: Mapping[str, Any], answer: Any) -> None:
        size = len(given.get("MessageBody", "").encode())
        size += sum(len(each.get("MessageBody", "").encode()) for each in given.get("Entries", ()))
        size += sum(len(each["Body"].encode()) for each in answer.get("Messages", ()))
        path = self._core.path_of(str(given.get("QueueUrl")))
        self._queue(path, "calls of functions", size, who)

    def _sns(self, who: str, operation: str, given: Mapping[str, Any], answer: Any) -> None:
        if given.get("PhoneNumber"):
            self._add("sms", "text messages", who, 1)
            return
        entries = given.get("PublishBatchRequestEntries", [given])
        size = sum(len(str(each.get("Message", "")).encode()) for each in entries)
        self._publish(self._core.path_of(str(given.get("TopicArn"))), who, size)

    def _publish(self, path: str, who: str, size: int) -> None:
        """Counts a message that a topic takes, and filters on its body.

        https://aws.amazon.com/sns/pricing/
        """
        topic = self._of_type["AWS::SNS::Topic"].get(path)
        fifo = topic is not None and topic.properties.get("FifoTopic")
        price = "fifo_topic_request" if fifo else "topic_request"
        self._add(price, "publishes", who, chunks(size, CHUNK))
        filters = [
            each.properties.get("FilterPolicyScope") == "MessageBody"
            for each in self._of_type["AWS::SNS::Subscription"].values()
            if self._core.path_of(str(each.properties.get("TopicArn"))) == path
        ]
        self._add("topic_filtered_gb", "filters on bodies", path, size / GB * sum(filters))

    def _kinesis(self, who: str, operation: str, given: Mapping[str, Any], answer: Any) -> None:
        if operation not in ("PutRecord", "PutRecords"):
            return
        path = self._core.path_of(str(given.get("StreamARN") or given.get("StreamName")))
        for each in given.get("Records", [given]):
            data = each["Data"]
            size = len(data if isinstance(data, bytes) else data.encode())
            self._stream(path, size + len(each["PartitionKey"].encode()))

    def _stream(self, path: str, size: int) -> None:
        """Counts a record that is put on a stream, and that each mapping reads.

        https://aws.amazon.com/kinesis/data-streams/pricing/
        """
        stream = self._of_type["AWS::Kinesis::Stream"].get(path)
        properties = stream.properties if stream is not None else {}
        if properties.get("StreamModeDetails", {}).get("StreamMode") != "ON_DEMAND":
            self._add("put_unit", "records put", path, chunks(size, 25 * KB))
            return
        gb = chunks(size, KB) * KB / GB
        self._add("stream_gb_in", "records put", path, gb)
        readers = sum(
            self._core.path_of(str(mapping.properties.get("EventSourceArn"))) == path
            for mapping in self._of_type["AWS::Lambda::EventSourceMapping"].values()
        )
        self._add("stream_gb_out", "records read", path, gb * readers)
        longer_s = int(properties.get("RetentionPeriodHours", 24)) * 3600 - _DAY_S
        self._add("stream_gb_month", "records kept", path, gb * longer_s / MONTH_S)

    def _s3(self, who: str, operation: str, given: Mapping[str, Any], answer: Any) -> None:
        if operation.startswith("Delete"):
            return
        writes = operation.startswith(("Put", "Copy", "Post", "List", "Create", "Upload"))
        self._add("bucket_write" if writes else "bucket_read", operation, who, 1)
        body = given.get("Body", b"")
        if operation == "PutObject" and isinstance(body, bytes | str):
            bucket = self._by_path.get(self._core.path_of(str(given["Bucket"])))
            rules = bucket.properties.get("LifecycleConfiguration", {}) if bucket else {}
            days = [int(each.get("ExpirationInDays", 0)) for each in rules.get("Rules", ())]
            stays_s = min(filter(None, days), default=0) * _DAY_S or _STAYS_S
            self._add("bucket_gb_month", "objects", who, len(body) / GB * stays_s / MONTH_S)

    def _kms(self, who: str, operation: str, given: Mapping[str, Any], answer: Any) -> None:
        self._add("key_request", operation, who, 1)

    def _secrets(self, who: str, operation: str, given: Mapping[str, Any], answer: Any) -> None:
        self._add("secret_request", operation, who, 1)

    def _ses(self, who: str, operation: str, given: Mapping[str, Any], answer: Any) -> None:
        if operation.startswith("Send"):
            self._add("email", "e-mails", who, 1)

    # -- records --------------------------------------------------------------------------

    def _on_record(self, record: Record) -> None:
        count = _RECORDS.get(record.kind)
        if count is not None and self._counting:
            count(self, record)

    def _invocation(self, record: Record) -> None:
        path, detail = record.target, record.detail
        function = self._functions.get(path)
        if function is None:
            return
        properties = self._of_type["AWS::Lambda::Function"][path].properties
        traced = properties.get("TracingConfig", {}).get("Mode") == "Active"
        self._add("function_request", "invocations", path, 1)
        seconds = detail["duration_s"] - detail["init_s"]
        self._duration(function, seconds + self._code.handler_cpu_s * function.slowness)
        rule = self._of_type["AWS::Events::Rule"].get(record.source)
        if record.source in self._clocked or (rule and "ScheduleExpression" in rule.properties):
            self._clocked.add(path)
        size = platform_bytes(
            properties.get("LoggingConfig") or {},
            request_id=detail["request_id"],
            arn=function.arn,
            memory_mb=function.memory_mb,
            seconds=seconds,
            traced=traced,
        )
        self._platform[function.log_group] += size
        self._add("log_gb", "platform lines", path, size / GB)
        if "execution" in detail:
            self._invoked[record.source] += 1
        elif traced:
            second = int(record.time - detail["duration_s"])
            self._add("trace", "traces", path, sampled(self._begun[path][second]))
            self._begun[path][second] += 1

    def _duration(self, function: Function, seconds: float) -> None:
        properties = self._of_type["AWS::Lambda::Function"][function.path].properties
        arm = properties.get("Architectures") == ["arm64"]
        price = f"function_gb_second{'_arm' if arm else ''}"
        self._add(price, "duration", function.path, function_gb_s(seconds, function.memory_mb))

    def _request(self, record: Record) -> None:
        http = record.target in self._of_type["AWS::ApiGatewayV2::Api"]
        route = str(record.detail["route"] or "no route")
        if http:
            requests = chunks(record.detail["size"], API_CHUNK)
            self._add("http_api_request", route, record.target, requests)
        else:
            self._add("rest_api_request", route, record.target, 1)

    def _published(self, record: Record) -> None:
        """Counts an event: on a Custom Event Bus its KB, and how long it is retained.

        https://aws.amazon.com/eventbridge/pricing/
        https://github.com/aws/agent-toolkit-for-aws/blob/main/skills/specialized-skills/serverless-skills/amazon-eventbridge-event-bus/references/cost-and-quotas.md
        """
        event, path = record.detail["event"], record.target
        size, source = _size(event), record.source
        if (bus := self._of_type["AWS::EventsV2::EventBus"].get(path)) is not None:
            self._add("custom_bus_kb_in", "events published", source, chunks(size, KB))
            stored = bus.properties.get("StorageConfiguration") or {}
            kept_s = int(stored.get("RetentionPeriodInDays", 1)) * _DAY_S
            self._add("custom_bus_gb_month", "events retained", path, size / GB * kept_s / MONTH_S)
            return
        self._add("event", "events published", source, chunks(size, CHUNK))
        for archive in self._of_type["AWS::Events::Archive"].values():
            if self._core.path_of(str(archive.properties["SourceArn"])) == path:
                days = int(archive.properties.get("RetentionDays", 0))
                kept_s = days * _DAY_S or _STAYS_S
                self._add("archive_gb", "events archived", archive.path, size / GB)
                self._add(
                    *("archive_gb_month", "events archived", archive.path),
                    size / GB * kept_s / MONTH_S,
                )

    def _delivery(self, record: Record) -> None:
        source, target, detail = record.source, record.target, record.detail
        outcome = detail["outcome"]
        if source in self._of_type["AWS::SQS::Queue"]:
            done = len(detail.get("messages", ())) - len(detail.get("failed", ()))
            if outcome != "throttled" and done:
                self._add(self._queue_price(source), "deletes", source, chunks(done, 10))
        elif "subscriber" in detail and outcome != "filtered":
            size = _size(detail["event"])
            self._add("custom_bus_kb_out", "events delivered", source, chunks(size, KB))
            subscriber = self._of_type["AWS::EventsV2::Subscriber"].get(source)
            if subscriber is not None and "{%" in json.dumps(subscriber.properties):
                self._add("custom_bus_enriched", "expressions", source, 1)
        elif "schedule" in detail:
            self._add("schedule_invocation", "invocations", source, 1)
            if source in self._of_type["AWS::Scheduler::Schedule"]:
                self._clocked |= {source, target}
        elif source in self._of_type["AWS::Pipes::Pipe"]:
            self._add("pipe_request", "requests", source, 1)
        elif source in self._of_type["AWS::SNS::Topic"] and outcome == "left":
            price = "topic_http_delivery" if target.startswith("http") else "topic_message_outside"
            self._add(price, "deliveries", source, 1)
        if target in self._of_type["AWS::SNS::Topic"] and "event" in detail:
            self._publish(target, source, _size(detail["event"]))

    def _execution(self, record: Record) -> None:
        """Counts an execution, or each step of a Standard one.

        https://aws.amazon.com/step-functions/pricing/
        """
        path, what = record.source, record.detail["what"]
        machine = self._of_type["AWS::StepFunctions::StateMachine"].get(path)
        if machine is not None and machine.properties.get("StateMachineType") == "EXPRESS":
            if what == "started":
                self._add("express_request", "executions", path, 1)
            elif what == "ended":
                gb_s = express_gb_s(record.detail["duration_s"])
                self._add("express_gb_second", "duration", path, gb_s)
        elif what == "entered":
            self._add("transition", "states", path, 1)
            self._entered[path] += record.target in _lambda_states(machine)

    def _outbound(self, record: Record) -> None:
        self._add(f"requests to {record.target}", "requests", record.source, 1)

    # -- when the sums are read -----------------------------------------------------------

    def _retries(self) -> Iterator[tuple[Use, float]]:
        """Each retry of a task is one more transition of a Standard workflow."""
        for path, states in self._entered.items():
            yield Use("transition", "retries", path), max(0, self._invoked[path] - states)

    def _new_lines(self) -> Iterator[tuple[str, list[str]]]:
        """Yields the lines of each log group since the last time, by its name."""
        self._rehearsal._deployment.log_groups.feed()
        backend: Any = logs_backends[self._core.account][self._core.region]
        for name, group in backend.groups.items():
            lines: list[str] = []
            for stream, each in group.streams.items():
                lines += [event.message for event in each.events[self._logged[name, stream] :]]
                self._logged[name, stream] = len(each.events)
            if lines:
                yield name, lines

    def _count_logs(self) -> None:
        """Counts log events, and the custom metrics that are embedded in them."""
        for name, lines in self._new_lines():
            size = sum(len(line.encode()) + LOG_EVENT for line in lines)
            self._metrics.update(*(_embedded(line) for line in lines if '"_aws"' in line))
            self._add("log_gb", "log events", self._writer_of(name), size / GB)
            self._logs[name].add(lines, size)

    def _writer_of(self, group: str) -> str:
        """Returns the path of the function that writes to a log group, else of the group."""
        return self._owners.get(group) or self._core.path_of(group)

    @cached_property
    def _owners(self) -> dict[str, str]:
        return {function.log_group: path for path, function in self._functions.items()}

    def _stored_logs(self) -> Iterator[tuple[Use, float]]:
        """Yields what is stored of log events, compressed, until it expires."""
        for name, log in self._logs.items():
            group = self._of_type["AWS::Logs::LogGroup"].get(self._core.path_of(name))
            days = group.properties.get("RetentionInDays") if group else None
            kept_s = int(days) * _DAY_S if days else _STAYS_S
            stored = (log.size + self._platform[name]) / GB * log.compressed_share
            use = Use("log_gb_month", "log events", self._writer_of(name))
            yield use, stored * kept_s / MONTH_S


class _Log:
    """The lines of a log group, of which only sizes are kept."""

    def __init__(self) -> None:
        self.size = 0
        """The bytes that are counted for the lines."""
        self._text = self._compressed = 0
        self._compress = zlib.compressobj(6)
        self._share: float | None = None

    def add(self, lines: Sequence[str], size: int) -> None:
        """Adds lines that count so many bytes."""
        text = "".join(f"{line}\n" for line in lines).encode()
        self.size += size
        self._text += len(text)
        self._compressed += len(self._compress.compress(text))
        self._share = None

    @property
    def compressed_share(self) -> float:
        """How large the lines are when they are compressed, as a share of their size."""
        if self._share is None:
            rest = self._compress.copy().flush()
            self._share = (self._compressed + len(rest)) / self._text
        return self._share


_Count = Callable[[Metering, str, str, Mapping[str, Any], Any], None]
_CALLS: Mapping[str, _Count] = {
    "kinesis": Metering._kinesis,
    "kms": Metering._kms,
    "s3": Metering._s3,
    "secretsmanager": Metering._secrets,
    "sesv2": Metering._ses,
    "sns": Metering._sns,
    "sqs": Metering._sqs,
}
_RECORDS: Mapping[str, Callable[[Metering, Record], None]] = {
    "delivery": Metering._delivery,
    "execution": Metering._execution,
    "invocation": Metering._invocation,
    "outbound": Metering._outbound,
    "published": Metering._published,
    "request": Metering._request,
}


def _size(event: Any) -> int:
    return len(json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode())


def _lambda_states(machine: Resource | None) -> set[str]:
    """The names of the states that invoke functions."""
    if machine is None:
        return set()
    definition = machine.properties.get("DefinitionString") or machine.properties.get("Definition")
    found: set[str] = set()
    todo = [json.loads(definition) if isinstance(definition, str) else definition or {}]
    while todo:
        each = todo.pop()
        for name, state in each.get("States", {}).items():
            if ":lambda:" in str(state.get("Resource")):
                found.add(name)
            todo += [
                *state.get("Branches", ()),
                state.get("ItemProcessor", state.get("Iterator", {})),
            ]
    return found


def _embedded(line: str) -> set[tuple[str, ...]]:
    try:
        event = json.loads(line)
        return {
            (each["Namespace"], metric["Name"], *(str(event[name]) for name in names))
            for each in event["_aws"]["CloudWatchMetrics"]
            for names in each.get("Dimensions", [[]])
            for metric in each["Metrics"]
        }
    except (ValueError, KeyError, TypeError):
        return set()
