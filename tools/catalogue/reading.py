"""Reads the system from its classes, templates and documents."""

import importlib
import inspect
from collections.abc import Iterator, Mapping
from typing import Any

from cdk_rehearsal import Assembly, EventPattern, Resource
from cdk_rehearsal.topology import edges, filters, http_routes
from lambdas.eventing.event import Event as EventClass
from stacks.schemas.events import (
    DEFINED,
    OUTSIDE,
    PUBLISHED,
    RETIRED,
    context_of,
    readers_of,
    successor_of,
)
from stacks.schemas.json_schema import bus_example, data_schema, envelope_example
from tools.catalogue import owned, workflows
from tools.catalogue.durations import spoken
from tools.catalogue.fields import changes, fields, pretty
from tools.catalogue.model import (
    AlarmSummary,
    DeliveryPath,
    EventPage,
    FunctionPage,
    OwnedResource,
    PathStep,
    QueuePage,
    System,
    Version,
    WorkflowPage,
)
from tools.catalogue.prose import (
    decisions,
    failures,
    occasions,
    of_contexts,
    preparation,
    purpose,
    redrive,
)
from tools.catalogue.references import grants, path_of
from tools.contracts.compatibility import breaking_changes
from tools.contracts.frozen import contract_of
from workspace.isolation import PROJECT

_STATISTICS = {"Sum": "sum", "Maximum": "maximum", "Average": "average"}
_BUSES = {"AWS::Events::EventBus", "AWS::EventsV2::EventBus"}
_LOG = "AWS::Logs::LogGroup"
_KINDS = {
    "AWS::Events::Rule": "rule",
    "AWS::EventsV2::Subscriber": "subscriber",
    "AWS::Kinesis::Stream": "stream",
    "AWS::Lambda::Function": "function",
    "AWS::Logs::LogGroup": "log",
    "AWS::SNS::Topic": "topic",
    "AWS::SQS::Queue": "queue",
    "AWS::Scheduler::Schedule": "schedule",
    "AWS::Scheduler::ScheduleGroup": "reminders",
    "AWS::StepFunctions::StateMachine": "workflow",
}


def read(assembly: Assembly, *, stage: str) -> System:
    """Returns the whole system, from the templates of one stage.

    Raises LookupError or NotImplementedError, naming the resource, for what it cannot read.
    """
    return _Reader(assembly).system(stage)


class _Reader:
    def __init__(self, assembly: Assembly) -> None:
        self._assembly = assembly
        self._edges = edges(assembly)
        self._types = {resource.path: resource.type for resource in assembly.resources}
        self._alarms = sorted(
            (self._alarm(each) for each in self._all("AWS::CloudWatch::Alarm")),
            key=lambda alarm: alarm.path,
        )
        self._functions = {
            function.path: function
            for function in sorted(
                (self._function(each) for each in self._all("AWS::Lambda::Function")),
                key=lambda function: function.path,
            )
        }
        self._contexts = sorted({_context(resource) for resource in assembly.resources})
        self._prose = of_contexts(PROJECT, self._contexts)
        self._failures = failures(PROJECT)
        self._prepared = preparation(PROJECT)
        self._everything: dict[str, DeliveryPath] = {}

    def system(self, stage: str) -> System:
        """Returns the whole system."""
        events = {name: self._event(event) for name, event in DEFINED.items()}
        targets = {edge.target for edge in self._edges}
        return System(
            stage=stage,
            contexts={context: purpose(PROJECT, context) for context in self._contexts},
            events=events,
            functions=self._functions,
            queues=self._queues(),
            workflows=_by_path(
                self._workflow(each) for each in self._all("AWS::StepFunctions::StateMachine")
            ),
            owned=_by_path(
                self._owned(each)
                for each in self._assembly.resources
                if each.type in owned.KINDS and (each.type != _LOG or each.path in targets)
            ),
            alarms=tuple(self._alarms),
            prose=self._prose,
            failures=self._failures,
            decisions=decisions(PROJECT),
            everything=tuple(way for _, way in sorted(self._everything.items())),
        )

    def _all(self, type_: str) -> list[Resource]:
        return self._assembly.all_of(type_)

    def _path(self, resource: Resource, value: Any) -> str | None:
        return path_of(self._assembly, resource.stack, value)

    # Alarms

    def _alarm(self, resource: Resource) -> AlarmSummary:
        properties = resource.properties
        meaning, _, failure = properties["AlarmDescription"].partition(" What to do: ")
        watched = [
            path
            for dimension in properties.get("Dimensions", [])
            if (path := self._path(resource, dimension["Value"]))
        ]
        return AlarmSummary(
            path=resource.path,
            context=_context(resource),
            meaning=meaning,
            condition=_condition(properties),
            failure=failure.rpartition("#")[2],
            # A rule's or subscriber's alarm also names its bus, but it does not watch the bus.
            watches=tuple(
                path for path in watched if len(watched) == 1 or self._types[path] not in _BUSES
            ),
        )

    def _watching(self, path: str) -> tuple[AlarmSummary, ...]:
        return tuple(alarm for alarm in self._alarms if path in alarm.watches)

    # Functions, queues, workflows

    def _function(self, resource: Resource) -> FunctionPage:
        properties = resource.properties
        module_name, _, attribute = properties["Handler"].rpartition(".")
        module = importlib.import_module(module_name)
        handler = getattr(module, attribute)
        _, package, *_, name = module_name.split(".")
        own = package == _context(resource)
        return FunctionPage(
            path=resource.path,
            context=_context(resource),
            name=name if own else resource.path.rpartition("/")[2].lower(),
            summary=inspect.getdoc(module) or "",
            description=inspect.getdoc(handler) or "",
            file=f"{module_name.replace('.', '/')}.py",
            consumes=tuple(event.detail_type() for event in getattr(handler, "consumes", ())),
            publishes=tuple(
                sorted(event.detail_type() for event in getattr(handler, "publishes", ()))
            ),
            routes=tuple(self._routes(resource)),
            sources=tuple(edge for edge in self._edges if edge.target == resource.path),
            facts=tuple(self._function_facts(resource)),
            grants=grants(self._assembly, self._role(resource)),
            alarms=self._watching(resource.path),
        )

    def _role(self, resource: Resource) -> Resource:
        return self._assembly.referred(resource.stack, resource.properties["Role"])

    def _routes(self, function: Resource) -> Iterator[str]:
        for route in http_routes(self._assembly):
            if route.function == function:
                yield f"{route.method} {route.path}"

    def _function_facts(self, function: Resource) -> Iterator[tuple[str, str]]:
        properties = function.properties
        yield "timeout", spoken(properties["Timeout"])
        yield "memory", f"{properties['MemorySize']} MB"
        yield "architecture", ", ".join(properties["Architectures"])
        if "ReservedConcurrentExecutions" in properties:
            yield "reserved concurrency", str(properties["ReservedConcurrentExecutions"])
        for mapping in self._all("AWS::Lambda::EventSourceMapping"):
            if self._path(mapping, mapping.properties["FunctionName"]) == function.path:
                yield from _mapping_facts(mapping.properties)
        for log in self._all("AWS::Logs::LogGroup"):
            if log.path == self._path(function, properties["LoggingConfig"]["LogGroup"]):
                yield "logs are kept", f"{log.properties['RetentionInDays']} d"

    def _queues(self) -> Mapping[str, QueuePage]:
        """Returns all queues, each before its dead-letter queue."""
        found = [self._queue(each) for each in self._all("AWS::SQS::Queue")]
        found.sort(key=lambda queue: (_parent(queue.path), queue.dead_letter, queue.path))
        return {queue.path: queue for queue in found}

    def _queue(self, queue: Resource) -> QueuePage:
        readers = [edge for edge in self._edges if edge.source == queue.path]
        parks = tuple(edge for edge in self._edges if edge.parking == queue.path)
        policy = queue.properties.get("RedrivePolicy", {})
        alarms = self._watching(queue.path)
        pages = [self._failures[alarm.failure] for alarm in alarms if parks]
        commands = (redrive(queue.path, page, self._prepared) for page in pages)
        return QueuePage(
            path=queue.path,
            context=_context(queue),
            dead_letter=bool(parks) or not readers,
            facts=tuple(_queue_facts(queue.properties)),
            sources=tuple(edge for edge in self._edges if edge.target == queue.path),
            parks=parks,
            consumer=readers[0].target if readers else None,
            parking=self._path(queue, policy.get("deadLetterTargetArn")),
            alarms=alarms,
            redrive=next(filter(None, commands), ""),
        )

    def _workflow(self, machine: Resource) -> WorkflowPage:
        definition = self._assembly.definition(machine)
        return WorkflowPage(
            path=machine.path,
            context=_context(machine),
            kind=machine.properties["StateMachineType"].capitalize(),
            start=definition["StartAt"],
            states=workflows.states(definition),
            transitions=workflows.transitions(definition),
            facts=(("ends at the latest", f"after {spoken(definition['TimeoutSeconds'])}"),),
            starters=tuple(
                function.path
                for function in self._functions.values()
                for grant in function.grants
                if grant.resource == machine.path
                and any(action.startswith("states:Start") for action in grant.actions)
            ),
            alarms=self._watching(machine.path),
        )

    def _owned(self, resource: Resource) -> OwnedResource:
        return OwnedResource(
            kind=owned.KINDS[resource.type][0],
            path=resource.path,
            context=_context(resource),
            facts=owned.facts(self._assembly, resource),
            alarms=self._watching(resource.path),
        )

    # Events

    def _event(self, event: type[EventClass]) -> EventPage:
        name = event.detail_type()
        published = name in PUBLISHED
        page = self._prose.get(context_of(event))
        return EventPage(
            name=name,
            context=context_of(event),
            source=event.source,
            summary=inspect.getdoc(event) or "",
            file=f"{event.__module__.replace('.', '/')}.py",
            when=occasions(page).get(event.__name__, "") if page else "",
            schema=f"docs/events/{contract_of(event).file}",
            published=published,
            retired=name in RETIRED,
            outside=event in OUTSIDE,
            successor=successor.detail_type() if (successor := successor_of(event)) else None,
            ends=event.ends,
            publishers=tuple(
                function.path for function in self._functions.values() if name in function.publishes
            ),
            readers=tuple(self._readers(event)),
            carrier=tuple(self._carrier(event) if published else self._keeper(event)),
            ways=tuple(self._routed(event) if published else self._kept(event)),
            fields=fields(data_schema(event)),
            example=pretty(envelope_example(event)),
            versions=tuple(_versions(event)),
        )

    def _readers(self, event: type[EventClass]) -> Iterator[str]:
        """Yields the functions that decode it, but do not consume it from a queue or stream."""
        names = readers_of(event)
        for function in self._functions.values():
            if (
                f"{function.context}.{function.name}" in names
                and event.detail_type() not in function.consumes
            ):
                yield function.path

    def _routed(self, event: type[EventClass]) -> Iterator[DeliveryPath]:
        """Yields the paths over matching routes; those that match everything are kept apart."""
        example = bus_example(event)
        # A replay may deliver an older version from before its successor existed.
        alone = {key: value for key, value in example["detail"].items() if key != "supersededby"}
        examples = (example, {**example, "detail": alone})
        for route in filters(self._assembly):
            if route.kind not in ("rule", "subscriber"):
                continue
            (pattern,) = route.patterns
            if not any(EventPattern(pattern).matches(each) for each in examples):
                continue
            for edge in self._edges:
                if edge.source != route.path:
                    continue
                for steps in self._onward(edge.target):
                    way = DeliveryPath(steps=(self._step(route.path), *steps))
                    if "detail-type" in pattern:
                        yield way
                    else:
                        self._everything[route.path] = way

    def _kept(self, event: type[EventClass]) -> Iterator[DeliveryPath]:
        """Yields the paths of an event that is not on the bus: scheduled, or put on a stream."""
        for function in self._functions.values():
            if event.detail_type() in function.consumes:
                for queue in (edge.source for edge in function.sources):
                    for edge in self._edges:
                        if edge.target == queue:
                            way = (edge.source, queue, function.path)
                            yield DeliveryPath(steps=tuple(self._step(path) for path in way))
        for stream in self._streams(event):
            for steps in self._onward(stream):
                yield DeliveryPath(steps=steps)

    def _streams(self, event: type[EventClass]) -> list[str]:
        """Returns the context's own streams, if nothing consumes the event from a queue."""
        if any(event.detail_type() in each.consumes for each in self._functions.values()):
            return []
        return [
            stream.path
            for stream in self._all("AWS::Kinesis::Stream")
            if _context(stream) == context_of(event)
        ]

    def _onward(self, path: str) -> Iterator[tuple[PathStep, ...]]:
        if path not in self._types:  # A universal target calls an API: it is no resource.
            yield ()
            return
        nexts = [
            edge.target
            for edge in self._edges
            if edge.source == path and edge.kind in {"queue", "topic", "stream"}
        ]
        if not nexts:
            yield (self._step(path),)
        for target in nexts:
            for steps in self._onward(target):
                yield (self._step(path), *steps)

    def _step(self, path: str) -> PathStep:
        return PathStep(kind=_KINDS[self._types[path]], path=path)

    def _carrier(self, event: type[EventClass]) -> Iterator[str]:
        """Yields table, relay and bus. The relay is the function that may publish this event."""
        for function in self._functions.values():
            for grant in function.grants:
                if "events:PutEvents" in grant.actions and any(
                    event.detail_type() in values for _, values in grant.conditions
                ):
                    yield from (edge.source for edge in function.sources)
                    yield from (function.path, grant.resource)

    def _keeper(self, event: type[EventClass]) -> Iterator[str]:
        """Yields the functions that may put it on the context's stream, or schedule it."""
        wanted = {"kinesis:PutRecords" if self._streams(event) else "scheduler:CreateSchedule"}
        if any(way.steps[0].kind == "schedule" for way in self._kept(event)):
            return
        for function in self._functions.values():
            if function.context == context_of(event) and any(
                wanted & {*grant.actions} for grant in function.grants
            ):
                yield function.path


def _by_path(things: Iterator[Any]) -> Mapping[str, Any]:
    return {thing.path: thing for thing in sorted(things, key=lambda thing: thing.path)}


def _parent(path: str) -> str:
    return path.rpartition("/")[0]


def _context(resource: Resource) -> str:
    return resource.stack.lower()


def _condition(properties: Mapping[str, Any]) -> str:
    metrics = properties.get("Metrics", [])
    if metrics:
        (shown,) = [metric for metric in metrics if metric.get("ReturnData")]
        metric, statistic = shown.get("Label", shown.get("Expression", "")), ""
        period = max(each["MetricStat"]["Period"] for each in metrics if "MetricStat" in each)
    else:
        metric, period = properties["MetricName"], properties["Period"]
        statistic = properties.get("ExtendedStatistic") or _STATISTICS[properties["Statistic"]]
    times = properties["EvaluationPeriods"]
    window = f"in {spoken(period)}" + (f", {times} times in a row" if times > 1 else "")
    return " ".join(
        part for part in (metric, statistic, f"≥ {properties['Threshold']:,}", window) if part
    )


def _mapping_facts(properties: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "batch", f"up to {properties['BatchSize']}"
    if properties.get("MaximumBatchingWindowInSeconds"):
        yield "batch window", spoken(properties["MaximumBatchingWindowInSeconds"])
    if "ScalingConfig" in properties:
        yield "concurrency", f"up to {properties['ScalingConfig']['MaximumConcurrency']}"
    if "TumblingWindowInSeconds" in properties:
        yield "tumbling window", spoken(properties["TumblingWindowInSeconds"])
    for each in properties.get("FilterCriteria", {}).get("Filters", []):
        yield "filter", each["Pattern"]


def _queue_facts(properties: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yields the limits of a queue, with SQS's defaults where the template gives none.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-sqs-queue.html
    """
    yield "visibility", spoken(properties.get("VisibilityTimeout", 30))
    yield "retention", spoken(properties.get("MessageRetentionPeriod", 345_600))
    redrive = properties.get("RedrivePolicy", {})
    if redrive:
        yield "given up", f"after {redrive['maxReceiveCount']} receives"
    allowed = properties.get("RedriveAllowPolicy", {}).get("redrivePermission")
    if allowed:
        yield (
            "dead letters from",
            {"byQueue": "its own queue only", "denyAll": "no queue"}.get(allowed, "any queue"),
        )


def _versions(event: type[EventClass]) -> Iterator[Version]:
    """Yields all versions of an event, including itself, the latest first."""
    family = sorted(
        (each for each in DEFINED.values() if _stem(each) == _stem(event)),
        key=lambda each: each.version,
    )
    for index, each in reversed([*enumerate(family)]):
        previous = family[index - 1] if index else None
        yield Version(
            event=each.detail_type(),
            previous=previous.detail_type() if previous else None,
            changes=changes(data_schema(previous), data_schema(each)) if previous else (),
            breaking=tuple(_breaking(previous, each)) if previous else (),
        )


def _breaking(before: type[EventClass], after: type[EventClass]) -> Iterator[str]:
    return (str(each) for each in breaking_changes(data_schema(before), data_schema(after)))


def _stem(event: type[EventClass]) -> tuple[str, str]:
    return event.source, event.detail_type().rpartition(".")[0]
