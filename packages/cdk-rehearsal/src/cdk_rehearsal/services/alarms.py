"""CloudWatch: alarms evaluated on the rehearsal's metrics in virtual time, and queries of metrics.

moto keeps the alarms. Their state is computed when a client asks, minute by minute for the time
since it asked before. Actions of alarms are not rehearsed.
"""

import math
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from moto.cloudwatch.exceptions import InvalidParameterValue, ValidationError
from moto.cloudwatch.models import Alarm, CloudWatchBackend
from moto.cloudwatch.responses import CloudWatchResponse
from moto.core.responses import ActionResult

from cdk_rehearsal.core import Core
from cdk_rehearsal.limits import LIMITS
from cdk_rehearsal.sandbox.patching import Patches
from cdk_rehearsal.services.alarm_rules import InvalidRule, holds
from cdk_rehearsal.services.metric_math import InvalidExpression, Values, evaluated
from cdk_rehearsal.services.metrics import Metrics, Series, UnknownStatistic, is_metered, statistic

NOT_REHEARSED = "Not rehearsed"
"""How the reason for the state of an alarm begins that the rehearsal cannot evaluate."""

_MINUTE_S = 60.0
# CloudWatch looks at more periods than an alarm evaluates, in its examples at two more:
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html
_MORE_PERIODS = 2
_COMPARISONS: Mapping[str, tuple[str, Callable[[float, float], bool]]] = {
    "GreaterThanOrEqualToThreshold": ("greater than or equal to", lambda a, b: a >= b),
    "GreaterThanThreshold": ("greater than", lambda a, b: a > b),
    "LessThanThreshold": ("less than", lambda a, b: a < b),
    "LessThanOrEqualToThreshold": ("less than or equal to", lambda a, b: a <= b),
}


class _NotRehearsed(Exception):
    """An alarm that the rehearsal cannot evaluate; its state says so."""


class Alarms:
    """The alarms of an account."""

    def __init__(self, core: Core, metrics: Metrics) -> None:
        self._core = core
        self._metrics = metrics
        self._evaluated: dict[str, float] = {}

    def install(self, patches: Patches) -> None:
        """Evaluates alarms before a client reads them, and answers queries of metrics."""
        alarms = self
        for_metric = CloudWatchResponse.describe_alarms_for_metric

        def describe_alarms(response: CloudWatchResponse) -> ActionResult:
            alarms.evaluate(response.cloudwatch_backend, response._get_param("AlarmNames", []))
            return ActionResult(_described(response))

        def describe_alarms_for_metric(response: CloudWatchResponse) -> ActionResult:
            alarms.evaluate(response.cloudwatch_backend)
            return for_metric(response)

        def describe_alarm_history(response: CloudWatchResponse) -> ActionResult:
            raise ValidationError(
                "the rehearsal does not support DescribeAlarmHistory: use DescribeAlarms"
            )

        def get_metric_data(
            _: CloudWatchBackend,
            queries: list[dict[str, Any]],
            start_time: datetime,
            end_time: datetime,
            scan_by: str = "TimestampDescending",
        ) -> list[dict[str, Any]]:
            span = _span(start_time, end_time)
            return list(alarms._query(queries, *span, descending=scan_by != "TimestampAscending"))

        def get_metric_statistics(response: CloudWatchResponse) -> ActionResult:
            return ActionResult(alarms._statistics(response))

        patches.set(CloudWatchResponse, "describe_alarms", describe_alarms)
        patches.set(CloudWatchResponse, "describe_alarms_for_metric", describe_alarms_for_metric)
        patches.set(CloudWatchResponse, "describe_alarm_history", describe_alarm_history)
        patches.set(CloudWatchResponse, "get_metric_statistics", get_metric_statistics)
        patches.set(CloudWatchBackend, "get_metric_data", get_metric_data)

    # -- alarms ---------------------------------------------------------------------------

    def evaluate(self, backend: CloudWatchBackend, names: Collection[str] = ()) -> None:
        """Brings alarms to the state that they have at the last full minute.

        All of them, or the named ones if none of these depends on others.
        """
        self._metrics.refresh()
        now = self._core.scheduler.now() // _MINUTE_S * _MINUTE_S
        composite = []
        named = [each for each in backend.alarms.values() if each.name in names]
        is_simple = named and all(each.rule is None for each in named)
        for alarm in named if is_simple else backend.alarms.values():
            if alarm.rule is None:
                self._evaluate(alarm, now)
            else:
                composite.append(alarm)
        for alarm in composite:
            self._combine(alarm, backend, now, ())

    def _combine(
        self, alarm: Alarm, backend: CloudWatchBackend, now: float, above: tuple[str, ...]
    ) -> None:
        """Brings a composite alarm to its state now, after those that it refers to.

        https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-combining.html
        """

        def state_of(name: str) -> str:
            found = [
                each for each in backend.alarms.values() if name in (each.name, each.alarm_arn)
            ]
            if not found:
                raise InvalidRule(f"there is no alarm {name}")
            (other,) = found
            if other.name in (*above, alarm.name):
                raise InvalidRule(f"{alarm.name} and {other.name} depend on each other")
            if other.rule is not None:
                self._combine(other, backend, now, (*above, alarm.name))
            return str(other.state_value)

        try:
            state = "ALARM" if holds(str(alarm.rule), state_of) else "OK"
            self._set(alarm, state, f"The rule {alarm.rule} leads to {state}.", now)
        except InvalidRule as error:
            self._set(alarm, "INSUFFICIENT_DATA", f"{NOT_REHEARSED}: {error}", now)

    def _evaluate(self, alarm: Alarm, now: float) -> None:
        before = self._evaluated.get(alarm.alarm_arn)
        if before == now:
            return
        self._evaluated[alarm.alarm_arn] = now
        if before is None:
            alarm.state_value = "INSUFFICIENT_DATA"
        try:
            _check(alarm)
            for minute in self._minutes(alarm, before, now):
                values = self._latest(alarm, minute)
                state = _state(alarm, values)
                if state is not None:
                    self._set(alarm, state, _reason(alarm, state, values), minute)
        except (InvalidExpression, UnknownStatistic, _NotRehearsed) as error:
            self._set(alarm, "INSUFFICIENT_DATA", f"{NOT_REHEARSED}: {error}", now)

    def _minutes(self, alarm: Alarm, before: float | None, now: float) -> list[float]:
        """Returns the minutes since the last evaluation after which the state may be another.

        CloudWatch evaluates an alarm once a minute, on the periods that end then:
        https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-evaluation.html
        """
        period, periods = _period(alarm), _periods(alarm)
        minutes = {now}
        for namespace, name, dimensions in _metrics_of(alarm):
            entered: set[float] = set()
            for moment in self._metrics.series(namespace, name, dimensions).times:
                entered.add((moment // _MINUTE_S + 1) * _MINUTE_S)
            for minute in entered:
                minutes.update(minute + number * period for number in range(periods + 1))
        first = -math.inf if before is None else before
        return sorted(minute for minute in minutes if first < minute <= now)

    def _latest(self, alarm: Alarm, end: float) -> list[float | None]:
        """Returns the values of the alarm's latest periods, the newest first."""
        period, periods = _period(alarm), _periods(alarm)
        starts = [end - (number + 1) * period for number in range(periods)]
        if not alarm.metric_data_queries:
            series = self._metrics.series(
                alarm.namespace, alarm.metric_name, _dimensions(alarm.dimensions)
            )
            values = _values(
                series, alarm.statistic or str(alarm.extended_statistic), starts, period
            )
            return [values.get(start) for start in starts]
        known: dict[str, Values] = {}
        for query in alarm.metric_data_queries:
            if (stat := query.metric_stat) is not None:
                series = self._metrics.series(
                    stat.metric.namespace,
                    stat.metric.metric_name,
                    _dimensions(stat.metric.dimensions),
                )
                known[query.id] = _values(series, stat.stat, starts, period)
        result: Values = {}
        expressions = {
            each.id: each.expression for each in alarm.metric_data_queries if each.expression
        }
        for id_ in _in_order(expressions):
            known[id_] = evaluated(expressions[id_], known)
        for query in alarm.metric_data_queries:
            if query.return_data in (None, True, "true"):
                result = known[query.id]
        return [result.get(start) for start in starts]

    def _set(self, alarm: Alarm, state: str, reason: str, moment: float) -> None:
        if alarm.state_value == state and alarm.state_reason == reason:
            return
        alarm.update_state(reason, "{}", state)
        alarm.state_updated_timestamp = datetime.fromtimestamp(moment, UTC).replace(tzinfo=None)

    # -- queries --------------------------------------------------------------------------

    def _query(
        self, queries: Sequence[Mapping[str, Any]], start: float, end: float, *, descending: bool
    ) -> Iterator[dict[str, Any]]:
        """Answers GetMetricData.

        https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricData.html
        """
        self._metrics.refresh()
        known: dict[str, Values] = {}
        labels: dict[str, str] = {}
        for query in queries:
            labels[query["Id"]] = query.get("Label") or query["Id"]
            if "MetricStat" in query:
                metric, stat = query["MetricStat"]["Metric"], query["MetricStat"]["Stat"]
                labels[query["Id"]] = query.get("Label") or metric["MetricName"]
                known[query["Id"]] = self._between(
                    metric["Namespace"],
                    metric["MetricName"],
                    {each["Name"]: each["Value"] for each in metric.get("Dimensions", [])},
                    stat,
                    float(query["MetricStat"]["Period"]),
                    (start, end),
                )
        expressions = {each["Id"]: each["Expression"] for each in queries if "Expression" in each}
        for id_ in _in_order(expressions):
            try:
                known[id_] = evaluated(expressions[id_], known)
            except InvalidExpression as error:
                raise ValidationError(f"Error in expression '{id_}': {error}") from None
        for query in queries:
            if query.get("ReturnData", True) in (True, "true"):
                found = sorted(known[query["Id"]].items(), reverse=descending)
                yield {
                    "id": query["Id"],
                    "label": labels[query["Id"]],
                    "timestamps": [_utc(moment) for moment, _ in found],
                    "values": [value for _, value in found],
                    "status_code": "Complete",
                }

    def _statistics(self, response: CloudWatchResponse) -> dict[str, Any]:
        """Answers GetMetricStatistics.

        https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricStatistics.html
        """
        self._metrics.refresh()
        parameter = response._get_param
        simple, extended = parameter("Statistics", []), parameter("ExtendedStatistics", [])
        if bool(simple) == bool(extended):
            raise InvalidParameterValue("Give either Statistics or ExtendedStatistics.")
        span = _span(parameter("StartTime"), parameter("EndTime"))
        dimensions = {each["Name"]: each["Value"] for each in parameter("Dimensions", [])}
        points: dict[float, dict[str, Any]] = {}
        for name in [*simple, *extended]:
            values = self._between(
                parameter("Namespace"),
                parameter("MetricName"),
                dimensions,
                name,
                float(parameter("Period")),
                span,
            )
            for moment, value in values.items():
                point = points.setdefault(moment, {"Timestamp": _utc(moment), "Unit": "None"})
                if name in simple:
                    point[name] = value
                else:
                    point.setdefault("ExtendedStatistics", {})[name] = value
        return {"Label": parameter("MetricName"), "Datapoints": list(points.values())}

    def _between(
        self,
        namespace: str,
        name: str,
        dimensions: Mapping[str, str],
        stat: str,
        period: float,
        span: tuple[float, float],
    ) -> Values:
        """Returns the values of the periods within a span, which begin at their multiples."""
        if not is_metered(namespace, name):
            raise ValidationError(f"The rehearsal does not meter {namespace} {name}.")
        first = span[0] // period * period
        starts = [first + n * period for n in range(math.ceil((span[1] - first) / period))]
        try:
            return _values(self._metrics.series(namespace, name, dimensions), stat, starts, period)
        except UnknownStatistic as error:
            raise ValidationError(str(error)) from None


def _values(series: Series, stat: str, starts: Iterable[float], period: float) -> Values:
    compute = statistic(stat)
    found = {start: series.within(start, start + period) for start in starts}
    return {start: float(compute(values)) for start, values in found.items() if values}


def _in_order(expressions: Mapping[str, str]) -> Iterator[str]:
    """The ids of expressions, each after those that it mentions."""
    waiting = dict(expressions)
    while waiting:
        ready = [
            id_ for id_, text in waiting.items() if not (waiting.keys() - {id_}) & set(_names(text))
        ]
        for id_ in ready or list(waiting):
            del waiting[id_]
            yield id_


def _names(expression: str) -> list[str]:
    return re.findall(r"\w+", expression)


def _metrics_of(alarm: Alarm) -> Iterator[tuple[str, str, dict[str, str]]]:
    if not alarm.metric_data_queries:
        yield alarm.namespace, alarm.metric_name, _dimensions(alarm.dimensions)
    for query in alarm.metric_data_queries:
        if query.metric_stat is not None:
            metric = query.metric_stat.metric
            yield metric.namespace, metric.metric_name, _dimensions(metric.dimensions)


def _dimensions(dimensions: Iterable[Any]) -> dict[str, str]:
    return {each.name: each.value for each in dimensions}


def _check(alarm: Alarm) -> None:
    """Raises _NotRehearsed for an alarm that the rehearsal cannot evaluate."""
    for namespace, name, _ in _metrics_of(alarm):
        if not is_metered(namespace, name):
            raise _NotRehearsed(f"the rehearsal does not meter {namespace} {name}")
    if alarm.comparison_operator not in _COMPARISONS:
        raise _NotRehearsed(f"the rehearsal does not know {alarm.comparison_operator}")


def _period(alarm: Alarm) -> float:
    stats = [each.metric_stat for each in alarm.metric_data_queries if each.metric_stat]
    return float(stats[0].period if stats else alarm.period)


def _periods(alarm: Alarm) -> int:
    return int(alarm.evaluation_periods) + _MORE_PERIODS


def _state(alarm: Alarm, values: Sequence[float | None]) -> str | None:
    """Returns the state for the values of the evaluation range; None leaves it as it is.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html
    """
    needed, evaluated_periods = _datapoints(alarm), int(alarm.evaluation_periods)
    breaches = _COMPARISONS[alarm.comparison_operator][1]
    found = [None if each is None else breaches(each, alarm.threshold) for each in values]
    existing = [each for each in found if each is not None][:evaluated_periods]
    treatment = alarm.treat_missing_data or "missing"
    if len(existing) < evaluated_periods:
        if treatment == "breaching":
            existing += [True] * (evaluated_periods - len(existing))
        elif treatment in ("missing", "ignore") and False not in existing:
            # Only breaching ones, or none: too few to decide, unless the oldest is old enough.
            oldest = max((n for n, each in enumerate(found, 1) if each), default=0)
            enough = sum(existing) >= needed or (treatment == "missing" and oldest >= needed)
            if not enough:
                return None if treatment == "ignore" else "INSUFFICIENT_DATA"
            return "ALARM"
    return "ALARM" if sum(existing) >= needed else "OK"


def _datapoints(alarm: Alarm) -> int:
    return int(alarm.datapoints_to_alarm or alarm.evaluation_periods)


def _reason(alarm: Alarm, state: str, values: Sequence[float | None]) -> str:
    existing = [each for each in values if each is not None][: int(alarm.evaluation_periods)]
    if not existing:
        treatment = alarm.treat_missing_data or "missing"
        return f"No datapoints were received; they are treated as {treatment}."
    compared = _COMPARISONS[alarm.comparison_operator][0]
    verb = "was" if state == "ALARM" else "was not"
    return (
        f"Threshold Crossed: of the last {len(existing)} datapoints {existing}, at least "
        f"{_datapoints(alarm)} {verb} {compared} the threshold ({alarm.threshold})."
    )


def _described(response: CloudWatchResponse) -> dict[str, Any]:
    """Returns the answer of DescribeAlarms; all given conditions apply, unlike in moto.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_DescribeAlarms.html
    """
    parameter = response._get_param
    names, prefix = parameter("AlarmNames", []), parameter("AlarmNamePrefix") or ""
    if names and prefix:
        raise ValidationError("AlarmNames and AlarmNamePrefix exclude each other.")
    state, action = parameter("StateValue"), parameter("ActionPrefix") or ""
    kinds = parameter("AlarmTypes") or ["MetricAlarm"]
    found = sorted(
        (
            alarm
            for alarm in response.cloudwatch_backend.alarms.values()
            if (not names or alarm.name in names)
            and alarm.name.startswith(prefix)
            and state in (None, alarm.state_value)
            and (not action or any(each.startswith(action) for each in alarm.alarm_actions))
            and ("MetricAlarm" if alarm.rule is None else "CompositeAlarm") in kinds
        ),
        key=lambda alarm: alarm.name,
    )
    token = parameter("NextToken") or "0"
    first = int(token) if token.isdecimal() else len(found)
    most = min(int(parameter("MaxRecords") or 50), LIMITS["cloudwatch.alarm_records"])
    page = found[first : first + most]
    answer: dict[str, Any] = {
        "MetricAlarms": [alarm for alarm in page if alarm.rule is None],
        "CompositeAlarms": [alarm for alarm in page if alarm.rule is not None],
    }
    if first + most < len(found):
        answer["NextToken"] = str(first + most)
    return answer


def _span(start: datetime, end: datetime) -> tuple[float, float]:
    times = tuple(
        (each if each.tzinfo else each.replace(tzinfo=UTC)).timestamp() for each in (start, end)
    )
    if times[0] >= times[1]:
        raise ValidationError("The parameter StartTime must be less than the parameter EndTime.")
    return times[0], times[1]


def _utc(moment: float) -> datetime:
    return datetime.fromtimestamp(moment, UTC)
