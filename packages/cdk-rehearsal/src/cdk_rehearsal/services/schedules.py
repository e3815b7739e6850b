"""EventBridge Scheduler: from a schedule to its target, with retries and dead letters."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError
from moto.scheduler.exceptions import ValidationException
from moto.scheduler.models import EventBridgeSchedulerBackend, Schedule, scheduler_backends

from cdk_rehearsal.core import Core
from cdk_rehearsal.errors import RehearsalError
from cdk_rehearsal.limits import LIMITS
from cdk_rehearsal.sandbox.patching import Patches
from cdk_rehearsal.services.deliveries import THROTTLED, DeliveryFailed, check_faults
from cdk_rehearsal.services.invocation import LambdaService
from cdk_rehearsal.services.queues import Queues
from cdk_rehearsal.services.recurrence import InvalidExpression, Once, parse
from cdk_rehearsal.services.texts import event_in, is_json, iso_seconds
from cdk_rehearsal.virtual_time.agenda import Timer

_SERVICE = "scheduler.amazonaws.com"
_INVOCATIONS = "scheduler.invocations_per_second"
# How long EventBridge Scheduler waits between two attempts is not documented.
_BACKOFF_S = (1.0, 600.0)
# https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-targets-templated.html
ACTIONS = {
    "events": "events:PutEvents",
    "kinesis": "kinesis:PutRecord",
    "lambda": "lambda:InvokeFunction",
    "sns": "sns:Publish",
    "sqs": "sqs:SendMessage",
    "states": "states:StartExecution",
}
"""What a schedule does with a target, by its service."""
PARAMETERS = {
    "events": ("EventBridgeParameters", ("DetailType", "Source")),
    "kinesis": ("KinesisParameters", ("PartitionKey",)),
    "sqs": ("SqsParameters", ("MessageGroupId",)),
}
"""The parameters of a target that are known, by its service."""


@dataclass(frozen=True)
class _Firing:
    """One time at which a schedule invokes its target, which a later update leaves alone."""

    schedule: Schedule
    path: str
    target: dict[str, Any]
    scheduled: str
    execution_id: str
    started: float


class Schedules:
    """Invokes the targets of schedules. moto stores the schedules.

    ``run_until_idle`` does not wait for schedules that have not fired.
    """

    def __init__(self, core: Core, lambdas: LambdaService, queues: Queues) -> None:
        self._core = core
        self._scheduler = core.scheduler
        self._lambdas = lambdas
        self._queues = queues
        self._timers: dict[str, Timer] = {}

    def install(self, patches: Patches) -> None:
        """Follows what API clients do to moto's schedules."""
        backend = EventBridgeSchedulerBackend
        delete = backend.delete_schedule
        delete_group = backend.delete_schedule_group

        def planning(original: Callable[..., Schedule]) -> Callable[..., Schedule]:
            def change(backend: Any, **options: Any) -> Schedule:
                self._check(options)
                schedule = original(backend, **options)
                self._plan(schedule)
                return schedule

            return change

        def delete_schedule(backend: Any, group_name: str | None, name: str) -> None:
            schedule = backend.get_schedule(group_name, name)
            delete(backend, group_name, name)
            self._cancel(schedule)

        def delete_schedule_group(backend: Any, name: str | None) -> None:
            schedules = list(backend.get_schedule_group(name).schedules.values())
            delete_group(backend, name)
            for schedule in schedules:
                self._cancel(schedule)

        patches.set(backend, "create_schedule", planning(backend.create_schedule))
        patches.set(backend, "update_schedule", planning(backend.update_schedule))
        patches.set(backend, "delete_schedule", delete_schedule)
        patches.set(backend, "delete_schedule_group", delete_schedule_group)

    # -- planning -------------------------------------------------------------------------

    def _check(self, options: dict[str, Any]) -> None:
        """Refuses what CreateSchedule and UpdateSchedule refuse, and what cannot be rehearsed.

        https://docs.aws.amazon.com/scheduler/latest/APIReference/API_CreateSchedule.html
        """
        expression, target = options["schedule_expression"], options["target"]
        try:
            recurrence = parse(expression)
        except InvalidExpression as error:
            raise ValidationException(str(error)) from None
        if isinstance(recurrence, Once) and recurrence.moment < self._scheduler.now():
            raise ValidationException(f"Invalid Schedule Expression {expression}: it is over.")
        if (options.get("schedule_expression_timezone") or "UTC") != "UTC":
            raise RehearsalError("the rehearsal knows schedules in UTC only")
        window = options["flexible_time_window"]
        if (window["Mode"] == "FLEXIBLE") != ("MaximumWindowInMinutes" in window):
            raise ValidationException("MaximumWindowInMinutes belongs to the mode FLEXIBLE.")
        service = target["Arn"].split(":")[2]
        known, _ = PARAMETERS.get(service, ("", ()))
        unknown = {name for name in target if name.endswith("Parameters")} - {known}
        if service not in ACTIONS or unknown:
            raise RehearsalError(
                f"the rehearsal does not know schedules with the target {target['Arn']} "
                f"{', '.join(sorted(unknown))}"
            )
        if service not in ("sns", "sqs") and not is_json(target.get("Input", "{}")):
            raise ValidationException(f"The Input of a target in {service} has to be JSON.")
        self._check_role(target["RoleArn"], options.get("group_name") or "default")

    def _check_role(self, arn: str, group: str) -> None:
        """Refuses a role that EventBridge Scheduler cannot assume for a group of schedules.

        https://docs.aws.amazon.com/scheduler/latest/UserGuide/cross-service-confused-deputy-prevention.html
        """
        account, region = self._core.account, self._core.region
        scope = f"arn:aws:scheduler:{region}:{account}:schedule-group/{group}"
        if not self._core.access.is_assumable(arn, service=_SERVICE, source_arn=scope):
            raise ValidationException(
                "The execution role you provide must allow AWS EventBridge Scheduler to assume the "
                "role."
            )

    def _plan(self, schedule: Schedule) -> None:
        self._cancel(schedule)
        dead_letters = schedule.target.get("DeadLetterConfig", {}).get("Arn")
        if dead_letters:
            self._queues.dead_letter_arns.add(dead_letters)
        if schedule.state != "DISABLED":
            now = self._scheduler.now()
            recurrence = parse(schedule.schedule_expression)
            # Neither date counts for a schedule that fires once.
            bounded = not isinstance(recurrence, Once)
            start = float(schedule.start_date or now) if bounded else now
            end = float(schedule.end_date or "inf") if bounded else float("inf")
            times = (t for t in recurrence.times(start) if t >= now)
            self._next(schedule, times, end)

    def _next(self, schedule: Schedule, times: Iterator[float], end: float) -> None:
        moment = next(times, None)
        if moment is None or moment > end:
            return
        random = self._scheduler.random
        delay = self._core.draw(self._core.latency.schedule_s)
        window = schedule.flexible_time_window
        if window["Mode"] == "FLEXIBLE":
            delay = random.uniform(0, window["MaximumWindowInMinutes"] * 60)
        self._timers[schedule.arn] = self._scheduler.call_at(
            moment + delay, self._fire, schedule, moment, times, end, daemon=True
        )

    def _cancel(self, schedule: Schedule) -> None:
        timer = self._timers.pop(schedule.arn, None)
        if timer is not None:
            timer.cancel()

    def _fire(self, schedule: Schedule, moment: float, times: Iterator[float], end: float) -> None:
        del self._timers[schedule.arn]
        path = self._path(schedule)
        firing = _Firing(
            schedule=schedule,
            path=path,
            target=dict(schedule.target),
            scheduled=iso_seconds(moment),
            execution_id=self._core.new_id().replace("-", "")[:20],
            started=self._scheduler.now(),
        )
        target = self._core.path_of(schedule.target["Arn"])
        for delay in self._core.faults.way(path, target):
            at = self._scheduler.now() + delay + self._core.rates.wait(_INVOCATIONS)
            self._scheduler.spawn(self._run, firing, name=f"schedule {path}", at=at, critical=True)
        self._next(schedule, times, end)

    def _path(self, schedule: Schedule) -> str:
        """Returns the schedule's path in the template; else its group's, or else its name."""
        for arn in (schedule.arn, _group_arn(schedule)):
            if (path := self._core.path_of(arn)) != arn:
                return path
        return schedule.name

    # -- delivering -----------------------------------------------------------------------

    def _run(self, firing: _Firing) -> None:
        """Tries until the target takes it, or until the schedule's retry policy gives it up.

        https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule.html
        """
        policy = firing.target.get("RetryPolicy") or {}
        retries = policy.get("MaximumRetryAttempts", LIMITS["scheduler.retries"])
        expires = firing.started + policy.get(
            "MaximumEventAgeInSeconds", LIMITS["scheduler.event_age_s"]
        )
        backoff, longest = _BACKOFF_S
        attempts = 0
        while True:
            attempts += 1
            text = self._input(firing, attempts)
            try:
                taken = self._deliver(firing, text)
            except DeliveryFailed as failure:
                self._report(firing, "failed", error=failure.code)
                delay = backoff * self._scheduler.random.uniform(0.5, 1.0)
                exhausted = None
                if failure.retriable and attempts > retries:
                    exhausted = "MaximumRetryAttempts"
                elif failure.retriable and self._scheduler.now() + delay > expires:
                    exhausted = "MaximumEventAgeInSeconds"
                if exhausted or not failure.retriable:
                    self._give_up(firing, text, failure, attempts, exhausted)
                    break
                self._scheduler.sleep(delay)
                backoff = min(backoff * 2, longest)
            else:
                self._report(firing, "delivered", **taken)
                break
        self._complete(firing.schedule)

    def _complete(self, schedule: Schedule) -> None:
        """Deletes a schedule that has fired for the last time, if it is to be.

        https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule-delete.html
        """
        core = self._core
        backend = scheduler_backends[core.account][core.region]
        group = backend.schedule_groups.get(schedule.group_name)
        there = group is not None and group.schedules.get(schedule.name) is schedule
        over = schedule.state != "DISABLED" and schedule.arn not in self._timers
        if there and over and schedule.action_after_completion == "DELETE":
            backend.delete_schedule(schedule.group_name, schedule.name)

    def _input(self, firing: _Firing, attempt: int) -> str:
        """Returns what the target gets: the input with its context attributes replaced.

        https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule-context-attributes.html
        """
        text: str | None = firing.target.get("Input")
        if text is None:
            return json.dumps(
                {
                    "version": "0",
                    "id": firing.execution_id,
                    "detail-type": "Scheduled Event",
                    "source": "aws.scheduler",
                    "account": self._core.account,
                    "time": firing.scheduled,
                    "region": self._core.region,
                    "resources": [firing.schedule.arn],
                    "detail": "{}",
                }
            )
        for name, value in {
            "schedule-arn": firing.schedule.arn,
            "scheduled-time": firing.scheduled,
            "execution-id": firing.execution_id,
            "attempt-number": str(attempt),
        }.items():
            text = text.replace(f"<aws.scheduler.{name}>", value)
        return text

    def _deliver(self, firing: _Firing, text: str) -> dict[str, Any]:
        """Delivers a text, and returns what its record says besides."""
        core = self._core
        arn = firing.target["Arn"]
        check_faults(
            core,
            firing.path,
            core.path_of(arn),
            gone="NonExistentQueue",
            failed="SdkClientException",
        )
        service = arn.split(":")[2]
        action = ACTIONS[service]
        if not self._may(firing, action, arn):
            message = f"the role {firing.target['RoleArn']} may not do {action} on {arn}"
            raise DeliveryFailed("AccessDeniedException", message)
        stated = firing.target.get(PARAMETERS.get(service, ("", ()))[0], {})
        if service == "sqs":
            queued = self._queues.by_arn(arn).send(text, group=stated.get("MessageGroupId"))
            return {"queued": queued, **event_in(text)}
        if service == "lambda":
            self._lambdas.invoke_async(self._lambdas.function(arn), text, source=firing.path)
        else:
            try:
                self._call(service, arn, text, stated)
            except ClientError as error:
                code = error.response["Error"]["Code"]
                raise DeliveryFailed(code, str(error), retriable=code == THROTTLED) from error
        return {}

    def _call(self, service: str, arn: str, text: str, stated: dict[str, str]) -> None:
        """https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-targets-templated.html."""
        client = self._core.client("stepfunctions" if service == "states" else service)
        if service == "states":
            client.start_execution(stateMachineArn=arn, input=text)
        elif service == "sns":
            client.publish(TopicArn=arn, Message=text)
        elif service == "kinesis":
            client.put_record(
                StreamARN=arn, PartitionKey=stated["PartitionKey"], Data=text.encode()
            )
        else:
            client.put_events(Entries=[{"EventBusName": arn, "Detail": text, **stated}])

    def _give_up(
        self,
        firing: _Firing,
        text: str,
        failure: DeliveryFailed,
        attempts: int,
        exhausted: str | None,
    ) -> None:
        """Sends what could not be delivered to the schedule's dead-letter queue.

        https://docs.aws.amazon.com/scheduler/latest/UserGuide/configuring-schedule-dlq.html
        """
        arn = firing.target.get("DeadLetterConfig", {}).get("Arn")
        detail = {"condition": exhausted or failure.code, "schedule": firing.schedule.name}
        detail["group"] = firing.schedule.group_name
        if (
            arn is None
            or not self._may(firing, "sqs:SendMessage", arn)
            or not self._queues.by_arn(arn).takes(text)
        ):
            self._core.meter.add(
                "discarded", firing.path, "nowhere", **detail, refused=arn is not None
            )
            return
        attributes = {
            "ERROR_CODE": failure.code,
            "ERROR_MESSAGE": str(failure),
            "EXECUTION_ID": firing.execution_id,
            "IS_PAYLOAD_TRUNCATED": "false",
            "RETRY_ATTEMPTS": str(attempts - 1),
            "SCHEDULED_TIME": firing.scheduled,
            "SCHEDULE_ARN": firing.schedule.arn,
            "TARGET_ARN": firing.target["Arn"],
        }
        if exhausted is not None:
            attributes["EXHAUSTED_RETRY_CONDITION"] = exhausted
        self._queues.by_arn(arn).send(text, attributes)
        self._core.meter.add("dead_letter", firing.path, self._core.path_of(arn), **detail)

    def _report(self, firing: _Firing, outcome: str, **detail: Any) -> None:
        self._core.meter.add(
            "delivery",
            firing.path,
            self._core.path_of(firing.target["Arn"]),
            outcome=outcome,
            schedule=firing.schedule.name,
            group=firing.schedule.group_name,
            **detail,
        )

    def _may(self, firing: _Firing, action: str, arn: str) -> bool:
        """Whether the schedule's role, once assumed for its group, may do an action."""
        role, group = firing.target["RoleArn"], _group_arn(firing.schedule)
        return self._core.access.role_may(role, _SERVICE, action, arn, source_arn=group)


def _group_arn(schedule: Schedule) -> str:
    return schedule.arn.rpartition("/")[0].replace(":schedule/", ":schedule-group/")
