"""The subscribers of all Custom Event Buses, and the operations of the API on them."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from cdk_rehearsal.core import Core
from cdk_rehearsal.errors import RehearsalError
from cdk_rehearsal.limits import LIMITS
from cdk_rehearsal.patterns import PatternError
from cdk_rehearsal.services.bus_events import check_expression
from cdk_rehearsal.services.bus_log import DAY_S, Bus, epoch, moment
from cdk_rehearsal.services.own_apis import ApiError, Operation, invalid
from cdk_rehearsal.services.subscriber_targets import Kind, Targets, kind_of
from cdk_rehearsal.services.subscribers import Subscriber
from cdk_rehearsal.services.texts import iso_seconds

_UPDATABLE = (
    *("Description", "State", "FilterConfiguration", "BatchConfiguration", "Transformer"),
    *("RetryPolicy", "OnFailureConfiguration", "LogConfiguration"),
)
_BLOCKS = (
    *("LambdaParameters", "SqsParameters", "SnsParameters", "KinesisParameters"),
    *("StepFunctionsParameters", "HttpParameters", "UniversalTargetParameters"),
    "EventBusV2Parameters",
)

Once = Callable[[dict[str, Any], Callable[[], str]], str]
"""Creates a resource, or returns the ARN of the one with the same token."""


class Subscriptions:
    """All subscribers of an account."""

    def __init__(
        self, core: Core, targets: Targets, bus_at: Callable[[str], Bus], once: Once
    ) -> None:
        """``bus_at`` returns the bus with an ARN, or raises ApiError."""
        self._core = core
        self._targets = targets
        self._bus_at = bus_at
        self._once = once
        self._subscribers: dict[str, Subscriber] = {}
        self.operations: Mapping[str, Operation] = {
            "CreateSubscriber": self._create_subscriber,
            "DeleteSubscriber": self._delete_subscriber,
            "DescribeSubscriber": self._describe_subscriber,
            "ListSubscribers": self._list_subscribers,
            "RevokeResource": self._revoke,
            "UpdateSubscriber": self._update_subscriber,
        }

    def __contains__(self, arn: str) -> bool:
        return arn in self._subscribers

    def of(self, bus: str) -> list[Subscriber]:
        """Returns the subscribers of a bus."""
        return [each for each in self._subscribers.values() if each.bus == bus]

    @property
    def targets(self) -> set[str]:
        """The ARNs of the targets of all subscribers."""
        return {each.target for each in self._subscribers.values()}

    def notify(self, bus: Bus) -> None:
        """Lets the subscribers of a bus read its new events."""
        for subscriber in self.of(bus.arn):
            if subscriber.is_running:
                self._read(subscriber, bus)

    def _read(self, subscriber: Subscriber, bus: Bus) -> None:
        subscriber.read(bus.since(subscriber.position, self._core.scheduler.now()))

    def _note_dead_letters(self, configuration: Mapping[str, Any]) -> None:
        if arn := (configuration.get("OnFailureConfiguration") or {}).get("Arn"):
            self._targets.queues.dead_letter_arns.add(arn)

    def _subscriber(self, parameters: Mapping[str, Any]) -> Subscriber:
        arn = parameters["SubscriberArn"]
        if arn not in self._subscribers:
            raise ApiError("ResourceNotFoundException", f"Subscriber {arn} does not exist.")
        return self._subscribers[arn]

    def _create_subscriber(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """https://docs.aws.amazon.com/eventbridgev2/latest/APIReference/API_CreateSubscriber.html."""
        name, bus = parameters["Name"], self._bus_at(parameters["EventBusArn"])

        def create() -> str:
            if any(
                each.configuration["Name"] == name and each.bus == bus.arn
                for each in self._subscribers.values()
            ):
                raise ApiError("ResourceAlreadyExistsException", f"Subscriber {name} exists.")
            if "ResumePosition" in parameters:
                raise invalid("ResumePosition is not for CreateSubscriber")
            kind = checked(self._core, self._targets, parameters)
            start = self._start(bus, parameters)
            stated = {k: v for k, v in parameters.items() if k not in ("ClientToken", "Tags")}
            arn = new_arn(self._core, "subscriber", name)
            try:
                subscriber = Subscriber(self._core, self._targets, kind, arn, stated)
            except (PatternError, ValueError) as error:
                raise invalid(str(error)) from None
            point = parameters.get("PointInTimeConfiguration", {})
            subscriber.end = epoch(point["EndPoint"]) if "EndPoint" in point else None
            subscriber.position, subscriber.live_from = start, bus.numbered
            self._subscribers[arn] = subscriber
            self._core.access.buses[arn] = bus.arn
            self._note_dead_letters(parameters)
            if start < bus.numbered:
                delay = self._core.draw(self._core.latency.replay_s)
                self._core.scheduler.call_later(delay, self._catch_up, subscriber, bus)
            return arn

        return self._summary(self._subscribers[self._once(parameters, create)])

    def _catch_up(self, subscriber: Subscriber, bus: Bus) -> None:
        if subscriber.is_running and subscriber.arn in self._subscribers:
            self._read(subscriber, bus)
            subscriber.pump()

    def _start(self, bus: Bus, parameters: Mapping[str, Any]) -> int:
        """Returns the number of the first event that a new subscriber reads.

        https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-replay.html
        """
        point = parameters.get("PointInTimeConfiguration")
        if parameters.get("StartingPosition", "LATEST") == "LATEST":
            if point is not None:
                raise invalid(
                    "PointInTimeConfiguration must not be provided when StartingPosition is LATEST"
                )
            return bus.numbered
        if point is None:
            raise invalid(
                "PointInTimeConfiguration is required when StartingPosition is POINT_IN_TIME"
            )
        now = self._core.scheduler.now()
        start = bus.window_start(now)
        if point["PointType"] == "HORIZON":
            return bus.position_at(start)
        if "StartingPoint" not in point:
            raise invalid(
                "PointInTimeConfiguration.StartingPoint is required and must be > 0 when "
                "PointType is TIMESTAMP"
            )
        begin = epoch(point["StartingPoint"])
        if begin > now:
            raise invalid("PointInTimeConfiguration.StartingPoint must not be in the future")
        if begin < start:
            raise invalid(
                f"PointInTimeConfiguration.StartingPoint ({iso_seconds(begin)}) falls outside "
                "the bus's retention window"
            )
        if "EndPoint" in point and epoch(point["EndPoint"]) <= begin:
            raise invalid("PointInTimeConfiguration.EndPoint must be after StartingPoint")
        return bus.position_at(begin)

    def _update_subscriber(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Replaces the members that are given, each as a whole.

        https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-update.html
        """
        subscriber = self._subscriber(parameters)
        if subscriber.revoked:
            raise ApiError("InvalidStateException", f"{subscriber.arn} is revoked.")
        before, after = subscriber.configuration, _updated(subscriber, parameters)
        resumes = not subscriber.is_running and after.get("State") == "RUNNING"
        resume = parameters.get("ResumePosition")
        if resume is not None and not resumes:
            raise invalid("ResumePosition is only for an update from STOPPED to RUNNING")
        if resume == "LATEST" and subscriber.is_replaying:
            raise invalid("a subscriber that is replaying cannot resume at LATEST")
        bus = self._bus_at(subscriber.bus)
        checked(self._core, self._targets, after)
        _count_filter_change(subscriber, after, self._core.scheduler.now())
        subscriber.configuration = after
        try:
            subscriber.configure()
        except (PatternError, ValueError) as error:
            subscriber.configuration = before
            subscriber.configure()
            raise invalid(str(error)) from None
        subscriber.modified = self._core.scheduler.now()
        self._note_dead_letters(after)
        if resumes and resume == "LATEST":
            subscriber.skip(bus.numbered)
        elif resumes:
            subscriber.live_from = bus.numbered
            self._catch_up(subscriber, bus)
        return self._summary(subscriber)

    def _delete_subscriber(self, parameters: dict[str, Any]) -> dict[str, Any]:
        subscriber = self._subscriber(parameters)
        subscriber.revoked = True
        del self._subscribers[subscriber.arn]
        return {}

    def _describe_subscriber(self, parameters: dict[str, Any]) -> dict[str, Any]:
        subscriber = self._subscriber(parameters)
        stated = {k: v for k, v in subscriber.configuration.items() if v is not None}
        for point in ("StartingPoint", "EndPoint"):
            if point in stated.get("PointInTimeConfiguration", {}):
                span = stated["PointInTimeConfiguration"]
                stated["PointInTimeConfiguration"] = {**span, point: moment(epoch(span[point]))}
        return {
            **stated,
            **self._summary(subscriber),
            **({"Revoked": True} if subscriber.revoked else {}),
        }

    def _list_subscribers(self, parameters: dict[str, Any]) -> dict[str, Any]:
        bus, prefix = parameters.get("EventBusArn"), parameters.get("NamePrefix", "")
        return {
            "Subscribers": [
                {**self._summary(each), "TargetArn": each.target}
                for each in self._subscribers.values()
                if bus in (None, each.bus) and each.configuration["Name"].startswith(prefix)
            ]
        }

    def _summary(self, subscriber: Subscriber) -> dict[str, Any]:
        stated = subscriber.configuration
        return {
            "SubscriberArn": subscriber.arn,
            "Name": stated["Name"],
            "EventBusArn": subscriber.bus,
            "Type": stated.get("Type", "UNORDERED"),
            "StartingPosition": stated.get("StartingPosition", "LATEST"),
            "State": stated.get("State", "RUNNING"),
            "CreationTime": moment(subscriber.created),
            "LastModifiedTime": moment(subscriber.modified),
        }

    def _revoke(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-access-revoke.html."""
        subscriber = self._subscriber({"SubscriberArn": parameters["Arn"]})
        subscriber.revoked = True
        return {"Arn": subscriber.arn}


def new_arn(core: Core, kind: str, name: str) -> str:
    """Returns a new ARN, with an id that EventBridge generates."""
    unique = core.new_id().replace("-", "")[:25]
    return f"arn:aws:events:{core.region}:{core.account}:{kind}/{name}/{unique}"


def _updated(subscriber: Subscriber, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the configuration after an update; an empty filter configuration clears it."""
    given = {name: parameters[name] for name in _UPDATABLE if name in parameters}
    if invoke := parameters.get("InvokeConfiguration"):
        given["InvokeConfiguration"] = {**invoke, "TargetArn": subscriber.target}
    if given.get("FilterConfiguration") == {}:
        given["FilterConfiguration"] = None
    return {**subscriber.configuration, **given}


def _count_filter_change(subscriber: Subscriber, after: Mapping[str, Any], now: float) -> None:
    name = "FilterConfiguration"
    if after.get(name) != subscriber.configuration.get(name):
        recent = [each for each in subscriber.filter_changes if now - each < DAY_S]
        if len(recent) >= LIMITS["eventbridgev2.filter_changes"]:
            raise ApiError("LimitExceededException", "FILTER_CHANGE_LIMIT_EXCEEDED")
        subscriber.filter_changes = [*recent, now]


def checked(core: Core, targets: Targets, stated: Mapping[str, Any]) -> Kind:
    """Returns the kind of a subscriber's target; ApiError for what EventBridge checks at once.

    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-subscribers.html
    """
    invoke = stated["InvokeConfiguration"]
    target = invoke["TargetArn"]
    kind = kind_of(target)
    if kind is None:
        raise RehearsalError(f"the rehearsal does not know targets of subscribers such as {target}")
    if target == stated["EventBusArn"]:
        raise invalid("TargetArn must not reference the subscriber's own event bus")
    if kind.name == "aws-sdk":
        _check_universal(targets, stated)
    elif target.split(":")[3:5] != [core.region, core.account]:
        raise invalid(f"TargetArn must be in region {core.region}, account {core.account}")
    _check_parameters(kind, invoke)
    size = (stated.get("BatchConfiguration") or {}).get("MaxBatchSize", 1)
    if size > kind.most:
        raise invalid(f"MaxBatchSize {size} is above the target's maximum of {kind.most}")
    transformer = (stated.get("Transformer") or {}).get("Type", "RAW")
    if kind.name == "event-bus" and transformer != "RAW":
        raise invalid("a classic bus as the target supports only the transformer type RAW")
    return kind


def _check_universal(targets: Targets, stated: Mapping[str, Any]) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-universal-targets.html."""
    invoke, batching = stated["InvokeConfiguration"], stated.get("BatchConfiguration") or {}
    if "UniversalTargetParameters" not in invoke:
        raise invalid("UniversalTargetParameters is required when TargetArn is a universal target")
    if not {"MaxBatchSize", "MaxBatchWindowInSeconds"} <= batching.keys():
        raise invalid("a universal target needs both fields of BatchConfiguration")
    if "Transformer" in stated:
        raise invalid("a universal target has no Transformer: put the expression into Input")
    if not targets.has_action(invoke["TargetArn"]):
        raise invalid(f"{invoke['TargetArn']} names no action that changes something")


def _check_parameters(kind: Kind, invoke: Mapping[str, Any]) -> None:
    for block in _BLOCKS:
        if block in invoke and block != kind.parameters:
            raise invalid(
                f"{block} is not supported for target {invoke['TargetArn']}. Expected "
                f"{kind.parameters or 'no target parameters'}"
            )
    stated = invoke.get(kind.parameters or "") or {}
    try:
        limit = "input_characters" if kind.name == "aws-sdk" else "expression_characters"
        for text in _texts(stated):
            check_expression(text, f"eventbridgev2.{limit}")
    except ValueError as error:
        raise invalid(str(error)) from None
    if kind.name in ("lambda", "states") and "InvocationType" not in stated:
        raise RehearsalError(
            "the default of InvocationType is not documented: state EVENT or REQUEST_RESPONSE in "
            f"{kind.parameters}"
        )


def _texts(value: Any) -> Iterator[str]:
    """Yields all texts in the parameters of a target, names among them, but no binary values."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield name
            if name != "BinaryValue":
                yield from _texts(inner)
