"""A rule of the bus: one pattern, one target, and alarms on failed deliveries."""

from collections.abc import Sequence

from aws_cdk import Duration, Fn
from aws_cdk import aws_events as events
from constructs import Construct

from lambdas.eventing.event import Event
from stacks.constructs.alarm import watch_metrics
from stacks.constructs.platform import Platform

DELIVERY_AGE = Duration.hours(24)
DELIVERY_ATTEMPTS = 185
"""The limits of retries for one target; both are also EventBridge's maximum.
https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_RetryPolicy.html"""

_METRICS = {
    "FailedInvocations": "The bus gave up delivering an event to the target.",
    "InvocationsSentToDlq": "The bus parked an event that it could not deliver.",
    "InvocationsFailedToBeSentToDlq": "The bus could not even park an event: it is lost.",
}


ONCE = {"supersededby": [{"exists": False}]}
"""Matches each fact once, in the newest version in which it is published."""


def pattern_of(consumed: Sequence[type[Event]]) -> events.EventPattern:
    """Returns a pattern that matches the events of these classes.

    If a fact is published in several of these versions, only the newest matches: the envelope of an
    older version names the version that supersedes it.
    """
    newer = sorted(event.detail_type() for event in consumed if event.supersedes in consumed)
    once = [{"exists": False}, {"anything-but": newer}]
    return events.EventPattern(
        source=sorted({event.source for event in consumed}),
        detail_type=sorted(event.detail_type() for event in consumed),
        detail={"supersededby": once} if newer else None,
    )


class Rule(events.Rule):
    """A rule of the platform's bus. Its target needs retry limits and a dead-letter queue."""

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        platform: Platform,
        pattern: events.EventPattern,
        target: events.IRuleTarget,
    ) -> None:
        super().__init__(
            scope, id_, event_bus=platform.bus, event_pattern=pattern, targets=[target]
        )
        # The library's `rule_name` is "bus|rule" on a bus that is not the default one:
        # https://github.com/aws-cloudformation/cloudformation-coverage-roadmap/issues/1949
        watch(self, platform=platform, rule_name=Fn.select(2, Fn.split("/", self.rule_arn)))


def watch(rule: Construct, *, platform: Platform, rule_name: str) -> None:
    """Adds alarms on failed deliveries of the rule with this name.

    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-monitoring.html
    """
    watch_metrics(
        rule,
        _METRICS,
        platform=platform,
        namespace="AWS/Events",
        dimensions={"EventBusName": platform.bus.event_bus_name, "RuleName": rule_name},
        page="a-rule-cannot-deliver",
    )
