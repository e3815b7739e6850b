"""Both kinds of event bus side by side, while a stage moves from the classic bus to the other."""

from typing import Any, cast

import jsii
from aws_cdk import Stack
from aws_cdk import aws_events as events
from aws_cdk import aws_eventsv2 as eventsv2
from aws_cdk import aws_iam as iam
from constructs import Construct, IValidation

from stacks.constructs.bus import Graphs
from stacks.constructs.classic_bus import ClassicBus, RoleTarget
from stacks.constructs.custom_bus import CustomBus, Subscriber
from stacks.constructs.platform import Platform
from stacks.constructs.queues import DeadLetterQueue
from stacks.constructs.rule import Rule
from stacks.environment import Environment, Migration


class MigratingBus(ClassicBus):
    """A classic bus with a Custom Event Bus beside it: see `Bus`.

    Each consumer has a rule and a subscriber, of which one rests unless both deliver. A bridge in
    each direction forwards the events that were published on its own side, and no others: events
    name the bus on which they were published. So no event crosses both bridges.
    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-migrate.html
    """

    def __init__(
        self, scope: Construct, id_: str, *, environment: Environment, prefix: str
    ) -> None:
        super().__init__(scope, id_, environment=environment, prefix=prefix)
        self.custom = CustomBus(scope, f"Custom{id_}", environment=environment, prefix=prefix)
        # As in a stage that has only this bus: the last deployment must not replace it.
        self.custom.override_logical_id(id_)
        self._prefix = prefix
        self._migration = environment.migration
        self._movers = set[str]()
        self.node.add_validation(_KnownMovers(self._migration, self._movers))
        if self._migration.finished:
            # Until all stacks are deployed, some import them: CloudFormation keeps such exports.
            for value in (self.event_bus_arn, self.event_bus_name):
                Stack.of(self).export_value(value)

    @property
    def arns(self) -> list[str]:
        """The ARNs of the buses that are in use."""
        return [self.custom.arn] if self._migration.finished else [self.arn, self.custom.arn]

    def home_of(self, producer: Construct) -> str:
        """Returns the ARN of the bus to which a producer, named after its stack, has come."""
        name = Stack.of(producer).node.id
        self._movers.add(name)
        has_moved = self._migration.finished or name in self._migration.custom
        return self.custom.arn if has_moved else self.arn

    @property
    def headline(self) -> str:
        """The headline of its graphs on the dashboard."""
        return f"{super().headline} and {self.custom.headline.lower()}"

    @property
    def graphs(self) -> Graphs:
        """Graphs of all deliveries by both buses."""
        by_bus = {super().headline: super().graphs, self.custom.headline: self.custom.graphs}
        return {
            f"{headline}: {title.lower()}": graph
            for headline, graphs in by_bus.items()
            for title, graph in graphs.items()
        }

    def to_queue(self, scope: Construct, *, platform: Platform, **options: Any) -> None:
        """Adds a rule and a subscriber."""
        if not self._migration.finished:
            super().to_queue(scope, platform=platform, **options)
        self.custom.to_queue(scope, platform=platform, **options)
        self._place(scope, platform)

    def to_topic(self, scope: Construct, *, platform: Platform, **options: Any) -> None:
        """Adds a rule and a subscriber."""
        if not self._migration.finished:
            super().to_topic(scope, platform=platform, **options)
        self.custom.to_topic(scope, platform=platform, **options)
        self._place(scope, platform)

    def to_stream(self, stream: Any, *, platform: Platform, **options: Any) -> None:
        """Adds a rule and a subscriber."""
        if not self._migration.finished:
            super().to_stream(stream, platform=platform, **options)
        self.custom.to_stream(stream, platform=platform, **options)
        self._place(stream, platform)

    def to_log(self, scope: Construct, *, platform: Platform, **options: Any) -> None:
        """Adds a rule and a subscriber."""
        if not self._migration.finished:
            super().to_log(scope, platform=platform, **options)
        self.custom.to_log(scope, platform=platform, **options)
        self._place(scope, platform)

    def _place(self, consumer: Construct, platform: Platform) -> None:
        """Sets which of the two buses delivers to a consumer, named after its path."""
        name = consumer.node.path
        self._movers.add(name)
        if self._migration.finished:
            return
        found = (consumer.node.find_child(id_) for id_ in ("Rule", "Subscriber"))
        rule, subscriber = (each.node.default_child or each for each in found)
        on_custom, on_both = name in self._migration.custom, name in self._migration.both
        cast(events.CfnRule, rule).state = "DISABLED" if on_custom else "ENABLED"
        # A subscriber that starts resumes after the last event that it has processed. So it
        # delivers what the rule has, and nothing is lost if the rule rests too early.
        # https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-replay.html
        runs = on_custom or on_both
        cast(eventsv2.CfnSubscriber, subscriber).state = "RUNNING" if runs else "STOPPED"
        if not self.node.try_find_child("ToCustom"):
            self._build_bridges(platform)

    def _build_bridges(self, platform: Platform) -> None:
        """Adds the bridges, with the first consumer: their alarms need the platform."""
        to_custom, to_classic = (Construct(self, id_) for id_ in ("ToCustom", "ToClassic"))
        Rule(
            to_custom,
            "Rule",
            platform=platform,
            bus=self,
            pattern=self._published_on(self.arn),
            # Pages differ on which of the two actions a forwarded event needs.
            # https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-target-bus.html
            # https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-sharing.html
            target=RoleTarget(
                to_custom,
                arn=self.custom.arn,
                actions=["events:PutEvents", "events:PutRawEvents"],
                parking=DeadLetterQueue(
                    to_custom, "DeadLetters", platform=platform, page="a-rule-cannot-deliver"
                ),
            ),
        )
        Subscriber(
            to_classic,
            "Subscriber",
            platform=platform,
            bus=self.custom,
            pattern=self._published_on(self.custom.arn),
            target_arn=self.arn,
            # https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-target-bus.html
            permits=[iam.PolicyStatement(actions=["events:PutEvents"], resources=[self.arn])],
        )

    def _published_on(self, arn: str) -> events.EventPattern:
        return events.EventPattern(source=events.Match.prefix(self._prefix), resources=[arn])


@jsii.implements(IValidation)
class _KnownMovers:
    """Reports the names in a migration that no consumer or producer has."""

    def __init__(self, migration: Migration, movers: set[str]) -> None:
        self._named = migration.both | migration.custom
        self._movers = movers

    def validate(self) -> list[str]:
        """Returns what to correct."""
        known = ", ".join(sorted(self._movers))
        return [
            f"the migration names {name}, but no consumer or producer has this name: use one of "
            f"{known}"
            for name in sorted(self._named - self._movers)
        ]
