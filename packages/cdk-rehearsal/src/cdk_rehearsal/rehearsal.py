"""The rehearsal: runs a cloud assembly in this process, in virtual or in real time."""

from __future__ import annotations

import json
import tempfile
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, cast

import boto3
from moto.awslambda.models import lambda_backends

from cdk_rehearsal.assembly import Assembly
from cdk_rehearsal.clock import Clock, Pace, Process, Scheduler
from cdk_rehearsal.delivery.event_bus import EventBus
from cdk_rehearsal.delivery.people import Email, People, Sms
from cdk_rehearsal.delivery.queues import Queues
from cdk_rehearsal.delivery.s3 import Buckets
from cdk_rehearsal.delivery.schedules import Schedules
from cdk_rehearsal.delivery.shards import StreamMapping
from cdk_rehearsal.delivery.sns import Topics
from cdk_rehearsal.delivery.sqs import QueueMapping
from cdk_rehearsal.delivery.streams import Streams
from cdk_rehearsal.environment import (
    AssetFinder,
    ExecutionEnvironment,
    OutsideEnvironment,
    asset_roots,
)
from cdk_rehearsal.errors import RehearsalError
from cdk_rehearsal.faults import Faults
from cdk_rehearsal.hooks import Hooks
from cdk_rehearsal.internet import Internet
from cdk_rehearsal.invoke import Function, InvocationResult, LambdaService
from cdk_rehearsal.latency import Latency
from cdk_rehearsal.loading import Loader
from cdk_rehearsal.meter import Meter, Record
from cdk_rehearsal.resources import Resource
from cdk_rehearsal.server import Server, aws_endpoint, http_api

if TYPE_CHECKING:
    from cdk_rehearsal.http_api import HttpFront

OUTSIDE = "outside"
"""The name, in records, of whoever is no resource of the assembly."""

_START = datetime(2026, 1, 5, 8, tzinfo=UTC)
_active = threading.Lock()
# Version 4, variant 1: https://www.rfc-editor.org/rfc/rfc9562
_UUID_MASK = (0xF << 76) | (0x3 << 62)
_UUID_4 = (0x4 << 76) | (0x2 << 62)


class Rehearsal:
    """A cloud assembly at work; to be used in a ``with`` statement, one at a time.

    Everything in it happens in the thread that entered it, in the order of virtual time, and is
    the same for the same ``seed``.
    """

    def __init__(
        self,
        assembly: Path,
        *,
        seed: int = 0,
        start: datetime = _START,
        pace: Pace = "virtual",
        account: str = "123456789012",
        region: str = "eu-central-1",
        latency: Latency | None = None,
        logs: Path | None = None,
        on_record: Callable[[Record], None] | None = None,
    ) -> None:
        """Prepare to rehearse what ``cdk synth`` wrote to the directory ``assembly``.

        ``start`` is the virtual time at which it begins. ``logs`` is a directory for what
        handlers print; without it the last lines are kept in memory. ``on_record`` is called with
        each record of the meter. Raises RehearsalError if there is no assembly.
        """
        self.account = account
        self.region = region
        self.seed = seed
        self.latency = latency or Latency()
        self.assembly = Assembly(assembly)
        self.clock = Clock(start)
        self.scheduler = Scheduler(self.clock, seed=seed, pace=pace)
        self.meter = Meter(self.clock.now, on_record)
        self.faults = Faults(
            lambda path: any(r.path == path for r in self.resources),
            lambda fault, source, target: self.meter.add("fault", source, target, name=fault.name),
            self.scheduler.random,
        )
        self.finder = AssetFinder()
        self.outside = OutsideEnvironment()
        self.lambdas = LambdaService(self, self.finder)
        self.queues = Queues(self)
        self.streams = Streams(self)
        self.bus = EventBus(self)
        self.topics = Topics(self)
        self.buckets = Buckets(self)
        self.people = People(self)
        self.internet = Internet(self)
        self.schedules = Schedules(self)
        self.resources: list[Resource] = []
        self.mappings: dict[str, QueueMapping | StreamMapping] = {}
        self.log_policies: list[dict[str, Any]] = []
        self.dead_letter_arns: list[str] = []
        self._logs = logs
        self._paths: dict[str, str] = {}
        self._clients: dict[str, Any] = {}
        self._hooks = Hooks(self)
        self._server: Server | None = None
        self._api_servers: dict[str, Server] = {}
        self._http: HttpFront | None = None
        self._temporary: tempfile.TemporaryDirectory[str] | None = None

    def __enter__(self) -> Rehearsal:
        if not _active.acquire(blocking=False):
            raise RehearsalError("another rehearsal is running in this process: end it first")
        try:
            self._temporary = tempfile.TemporaryDirectory(prefix="rehearsal-")
            self._hooks.install()
            Loader(self, self.assembly).load()
            for function in self.functions:
                self.outside.roots |= asset_roots(function.directory)
            self.scheduler.outside = self.outside
            self._hooks.settle()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._close()

    def _close(self) -> None:
        try:
            for server in (self._server, *self._api_servers.values()):
                if server is not None:
                    server.stop()
            self.scheduler.close()
        finally:
            self._hooks.remove()
            for function in self.functions:
                function.log.close()
            self.assembly.close()
            if self._temporary is not None:
                self._temporary.cleanup()
            _active.release()

    # -- running --------------------------------------------------------------------------

    def run_until_idle(self, limit_s: float = 86_400.0) -> None:
        """Run until nothing is due; RehearsalError if something still is after ``limit_s``.

        Schedules that have not fired yet, tasks that wait for their token and items that are to
        expire do not count: ``run_for`` reaches them.
        """
        self.scheduler.run_until_idle(limit_s)

    def run_for(self, seconds: float) -> None:
        """Let ``seconds`` of virtual time pass."""
        self.scheduler.run_for(seconds)

    def spawn(self, fn: Callable[..., Any], *args: Any, name: str | None = None) -> Process:
        """Run ``fn`` as a process of its own, which may sleep and wait in virtual time."""
        return self.scheduler.spawn(fn, *args, name=name, environment=self.outside)

    def run(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Run ``fn`` in a process and wait for its result: from a process, or from outside."""
        process = self.scheduler.spawn(lambda: fn(*args, **kwargs), name=fn.__qualname__)
        if self.scheduler.is_foreign_thread() and not self.scheduler.wait_as_guest(process):
            raise RehearsalError("the rehearsal is not running, so nothing answers")
        return process.result()

    def invoke(self, path: str, payload: Any) -> InvocationResult:
        """Invoke a function synchronously, as from outside, and wait for its answer."""
        function = self.function(path)
        answer = self.run(self.lambdas.invoke, function, json.dumps(payload), source=self.caller())
        return cast(InvocationResult, answer)

    def serve(self, port: int = 0) -> str:
        """Let AWS clients outside of this process look in; return the endpoint's URL.

        Requests are answered between two steps of the rehearsal, never within one.
        """
        if self._server is None:
            self._server = Server(self.scheduler, port, aws_endpoint())
        return self._server.url

    @property
    def http(self) -> HttpFront:
        """The front door of the application's HTTP API."""
        if self._http is None:
            from cdk_rehearsal.http_api import HttpFront

            self._http = HttpFront(self)
        return self._http

    def token(self, subject: str, **claims: Any) -> str:
        """Return a JSON Web Token that the API's authorizer accepts as ``subject``'s."""
        return self.http.token(subject, **claims)

    def serve_apis(self) -> dict[str, str]:
        """Serves each HTTP API at a free port of 127.0.0.1; returns URLs by construct path."""
        bases = self.http.base_paths
        for path in bases.keys() - self._api_servers.keys():
            self._api_servers[path] = Server(self.scheduler, 0, http_api(self.http, path))
        return {path: self._api_servers[path].url + base for path, base in bases.items()}

    # -- looking --------------------------------------------------------------------------

    def client(self, service: str) -> Any:
        """Return a boto3 client of a service, as somebody outside of the application has it."""
        if service not in self._clients:
            # Any service, known only by name: the stubs list all of them as literals.
            make: Any = boto3.client
            self._clients[service] = make(service, region_name=self.region)
        return self._clients[service]

    def resource(self, path: str, kind: str | None = None) -> Resource:
        """Return the resource at a construct path, if need be the one of a CloudFormation type.

        RehearsalError if there is none or more than one.
        """
        found = [r for r in self.resources if r.path == path and (kind is None or r.type == kind)]
        if len(found) == 1:
            return found[0]
        if not found:
            near = [r.path for r in self.resources if r.path.endswith(path.rsplit("/", 1)[-1])]
            hint = f"; there are {', '.join(near[:5])}" if near else ""
            raise RehearsalError(f"no resource {kind or ''} at {path}{hint}")
        raise RehearsalError(f"{len(found)} resources at {path}: {[r.type for r in found]}")

    def physical_id(self, path: str) -> str:
        """Return the physical id of the resource at a construct path."""
        return self.resource(path).physical_id

    def function(self, path: str) -> Function:
        """Return the function at a construct path, or with a name or ARN."""
        if path not in self.lambdas.functions:
            self.resource(path, "AWS::Lambda::Function")
        return self.lambdas.functions[path]

    @property
    def functions(self) -> list[Function]:
        """All functions, each once."""
        return list(
            {function.arn: function for function in self.lambdas.functions.values()}.values()
        )

    def logs(self, path: str) -> str:
        """Return what the handlers of a function have printed and logged."""
        return self.function(path).log.text()

    def queue_depths(self) -> dict[str, int]:
        """Return the number of messages in each queue, visible or not, by path."""
        return {queue.path: queue.depth for queue in self.queues}

    def dead_letter_queues(self) -> list[str]:
        """Return the paths of all queues that take what something else could not handle."""
        dead = set(self.dead_letter_arns)
        return [queue.path for queue in self.queues if queue.arn in dead]

    def messages(self, path: str) -> list[dict[str, Any]]:
        """Return the messages of a queue without receiving them.

        Each has ``message_id``, ``body``, ``attributes`` and ``receive_count``.
        """
        return self.queues.by_path(path).peek()

    @property
    def sent_sms(self) -> list[Sms]:
        """The text messages that were sent."""
        return self.people.sms

    @property
    def sent_email(self) -> list[Email]:
        """The e-mails that were sent."""
        return self.people.email

    def redrive(self, path: str, destination: str | None = None) -> int:
        """Move a dead-letter queue's messages back to their sources, or on to ``destination``.

        Returns how many. See ``Queue.redrive``.
        """
        target = self.queues.by_path(destination) if destination else None
        return self.queues.by_path(path).redrive(target)

    # -- for the parts of the rehearsal ---------------------------------------------------

    @property
    def scratch(self) -> Path:
        """A directory that is gone when the rehearsal is over."""
        if self._temporary is None:
            raise RehearsalError("the rehearsal has not begun: use it in a with statement")
        return Path(self._temporary.name)

    def log_file(self, path: str) -> Path | None:
        """Return the file for the log of the function at a path, None to keep it in memory."""
        if self._logs is None:
            return None
        self._logs.mkdir(parents=True, exist_ok=True)
        return self._logs / f"{path.replace('/', '.')}.log"

    def register(self, resource: Resource) -> None:
        """Take in a resource that was just created."""
        self.resources.append(resource)
        arn = str(resource.attributes.get("Arn", ""))
        # That of a log group is written with and without its streams.
        for key in (resource.physical_id, arn, arn.removesuffix(":*")):
            if key:
                self._paths.setdefault(str(key), resource.path)

    def path_of(self, identifier: str) -> str:
        """Return the construct path of a physical id or ARN; itself if it is not known."""
        return self._paths.get(identifier, identifier)

    def caller(self) -> str:
        """Return the path of the function whose handler runs at the moment, or ``outside``."""
        process = self.scheduler.current
        environment = process.environment if process is not None else None
        return environment.function if isinstance(environment, ExecutionEnvironment) else OUTSIDE

    def new_id(self) -> str:
        """Return a new UUID, drawn from the seed."""
        # As uuid.UUID(int=…, version=4) writes it, in a third of the time.
        bits = self.scheduler.random.getrandbits(128) & ~_UUID_MASK | _UUID_4
        text = f"{bits:032x}"
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"

    def attach(self, mapping: QueueMapping | StreamMapping, uuid: str) -> None:
        """Tie a mapping to moto's record of it; moto itself delivers nothing to it."""
        model: Any = lambda_backends[self.account][self.region].get_event_source_mapping(uuid)
        if ":sqs:" in model.event_source_arn:
            self.queues.by_arn(model.event_source_arn).model.lambda_event_source_mappings.clear()
        else:
            self.streams.model_of(model.event_source_arn).lambda_event_source_mappings.clear()
        mapping.attach(model)
        self.mappings[uuid] = mapping

    def send(
        self, arn: str, body: str, *, source: str, attributes: dict[str, str] | None = None
    ) -> None:
        """Send a text to the queue, topic or function that is somebody's destination."""
        service = arn.split(":")[2]
        if service == "sqs":
            self.queues.by_arn(arn).send(body, attributes)
        elif service == "sns":
            self.client("sns").publish(TopicArn=arn, Message=body)
        elif service == "lambda":
            self.lambdas.invoke_async(self.function(arn), body, source=source)
        else:
            raise RehearsalError(f"{source} has {arn} as a destination, which is not known")
