"""A rule of a classic bus: one pattern, one target, and alarms on failed deliveries."""

from aws_cdk import Fn
from aws_cdk import aws_events as events
from constructs import Construct

from stacks.constructs.alarm import watch_metrics
from stacks.constructs.platform import Platform

_METRICS = {
    "FailedInvocations": "The bus gave up delivering an event to the target.",
    "InvocationsSentToDlq": "The bus parked an event that it could not deliver.",
    "InvocationsFailedToBeSentToDlq": "The bus could not even park an event: it is lost.",
}


PAGE = "a-rule-cannot-deliver"


class Rule(events.Rule):
    """A rule of a bus. Its target needs retry limits and a dead-letter queue."""

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        platform: Platform,
        bus: events.IEventBus,
        pattern: events.EventPattern,
        target: events.IRuleTarget,
    ) -> None:
        super().__init__(scope, id_, event_bus=bus, event_pattern=pattern, targets=[target])
        # The library's `rule_name` is "bus|rule" on a bus that is not the default one:
        # https://github.com/aws-cloudformation/cloudformation-coverage-roadmap/issues/1949
        watch(
            self, platform=platform, bus=bus, rule_name=Fn.select(2, Fn.split("/", self.rule_arn))
        )


def watch(rule: Construct, *, platform: Platform, bus: events.IEventBus, rule_name: str) -> None:
    """Adds alarms on failed deliveries of the rule with this name.

    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-monitoring.html
    """
    watch_metrics(
        rule,
        _METRICS,
        platform=platform,
        namespace="AWS/Events",
        dimensions={"EventBusName": bus.event_bus_name, "RuleName": rule_name},
        page=PAGE,
    )
