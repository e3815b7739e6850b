"""The deployment: the account's services, into which resources are created."""

import json
import tempfile
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

from cdk_rehearsal.assembly import Assembly, Resource
from cdk_rehearsal.core import Core
from cdk_rehearsal.sandbox.execution_environment import AssetFinder, OutsideEnvironment
from cdk_rehearsal.sandbox.patching import Patches
from cdk_rehearsal.services.alarms import Alarms
from cdk_rehearsal.services.connections import Connections
from cdk_rehearsal.services.custom_bus import CustomBuses
from cdk_rehearsal.services.destinations import Destinations
from cdk_rehearsal.services.event_bus import EventBus
from cdk_rehearsal.services.event_source_mappings import EventSourceMappings
from cdk_rehearsal.services.functions import Function
from cdk_rehearsal.services.invocation import LambdaService
from cdk_rehearsal.services.log_groups import LogGroups
from cdk_rehearsal.services.log_subscriptions import LogSubscriptions
from cdk_rehearsal.services.message_moves import MessageMoves
from cdk_rehearsal.services.metrics import Metrics
from cdk_rehearsal.services.outboxes import Outboxes
from cdk_rehearsal.services.pipes import PipeRunner
from cdk_rehearsal.services.queues import Queues
from cdk_rehearsal.services.s3 import Buckets
from cdk_rehearsal.services.schedules import Schedules
from cdk_rehearsal.services.sns import Topics
from cdk_rehearsal.services.stacks import Stacks
from cdk_rehearsal.services.step_functions.expressions import Expressions
from cdk_rehearsal.services.step_functions.interpreter import StateMachines
from cdk_rehearsal.services.step_functions.reports import Reports
from cdk_rehearsal.services.streams import Streams
from cdk_rehearsal.services.web import Web
from cdk_rehearsal.stand_ins import StandIns


class Deployment:
    """The services of one account, each with the services that it calls, and what they hold."""

    def __init__(
        self, core: Core, assembly: Assembly, logs: Path | None, stand_ins: StandIns
    ) -> None:
        """``logs`` is a directory for the functions' logs; None keeps them in memory."""
        self.core = core
        self.stand_ins = stand_ins
        self.client = core.client
        self.assembly = assembly
        self.finder = AssetFinder()
        self.outside = OutsideEnvironment()
        self.destinations = Destinations(core)
        self.lambdas = LambdaService(core, self.finder, self.destinations)
        self.pipes = PipeRunner(core, self.lambdas)
        self.queues = Queues(core)
        self.message_moves = MessageMoves(core)
        self.streams = Streams(core)
        self.mappings = EventSourceMappings(core, self.queues, self.streams)
        self.topics = Topics(core, self.lambdas, self.queues)
        self.bus = EventBus(core, self.lambdas, self.queues, self.streams, self.topics)
        self.buckets = Buckets(core, self.lambdas, self.queues, self.topics, self.bus)
        self.schedules = Schedules(core, self.lambdas, self.queues)
        self.state_machines = StateMachines(core, self.lambdas, Reports(core, self.bus).add)
        self.custom_buses = CustomBuses(
            *(core, self.lambdas, self.queues, self.streams, self.topics, self.bus),
            evaluate=Expressions(core.new_id, core.scheduler.random).evaluate,
        )
        self.bus.forward = self.custom_buses.take
        self.log_groups = LogGroups(core, lambda: self.functions)
        self.log_subscriptions = LogSubscriptions(
            core, self.lambdas, self.streams, self.log_groups.feed
        )
        self.outboxes = Outboxes(core)
        self.layers: dict[str, Path] = {}
        """The modules of layers, by the ARNs of their versions."""
        self.web = Web(core, self.outside)
        self.connections = Connections(core)
        self.stages: set[str] = set()
        """The REST APIs that have a stage."""
        self.provider_roles: dict[str, str] = {}
        """The roles of the functions of custom resources that the rehearsal does itself, by ARN."""
        self.resources: list[Resource] = []
        self.metrics = Metrics(core, self.resources, self.lambdas, self.queues, self.outboxes)
        self.alarms = Alarms(core, self.metrics)
        self.stacks = Stacks(core, assembly.stacks, self.resources)
        self.checks: list[tuple[Resource, Callable[[], None]]] = []
        """What AWS checks when it creates a resource, though what it depends on may come later."""
        self._logs = logs
        self._connect()

    def _connect(self) -> None:
        self.destinations.add(
            "sqs",
            lambda arn, body, *, source, attributes: self.queues.by_arn(arn).send(body, attributes),
        )
        self.destinations.add(
            "sns",
            lambda arn, body, *, source, attributes: self.core.client("sns").publish(
                TopicArn=arn, Message=body
            ),
        )
        self.destinations.add(
            "lambda",
            lambda arn, body, *, source, attributes: self.lambdas.invoke_async(
                self.lambdas.function(arn), body, source=source
            ),
        )

        self.destinations.add(
            "events",
            lambda arn, body, *, source, attributes: self.bus.put_invocation_record(
                arn, json.loads(body)
            ),
        )

    def install(self, patches: Patches) -> None:
        """Lets moto's models call the services."""
        for service in (
            self.core.access,
            self.state_machines,
            self.mappings,
            self.queues,
            self.message_moves,
            self.log_groups,
            self.log_subscriptions,
            self.metrics,
            self.alarms,
            self.stacks,
            self.streams,
            self.bus,
            self.custom_buses,
            self.lambdas,
            self.topics,
            self.buckets,
            self.outboxes,
            self.web,
            self.connections,
            self.schedules,
        ):
            service.install(patches)

    @property
    def functions(self) -> list[Function]:
        """All functions, each once."""
        return list(
            {
                function.arn: function
                for function in self.lambdas.functions.values()
                if function.unqualified is None
            }.values()
        )

    @property
    def scratch(self) -> Path:
        """A directory that is removed when the deployment is closed."""
        return Path(self._temporary.name)

    @cached_property
    def _temporary(self) -> tempfile.TemporaryDirectory[str]:
        return tempfile.TemporaryDirectory(prefix="rehearsal-")

    def log_file(self, path: str) -> Path | None:
        """Returns the file for the log of the function at a path, None to keep it in memory."""
        if self._logs is None:
            return None
        self._logs.mkdir(parents=True, exist_ok=True)
        return self._logs / f"{path.replace('/', '.')}.log"

    def close(self) -> None:
        """Closes the functions' logs, and removes temporary files."""
        for function in self.functions:
            function.log.close()
        self.assembly.close()
        if "_temporary" in vars(self):
            self._temporary.cleanup()
