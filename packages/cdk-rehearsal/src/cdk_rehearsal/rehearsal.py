"""The rehearsal: runs a cloud assembly in this process, in virtual or in real time."""

from __future__ import annotations

import json
import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache, cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, cast

from cdk_rehearsal.assembly import Assembly, Resource
from cdk_rehearsal.core import OUTSIDE, Core, Watcher
from cdk_rehearsal.errors import RehearsalError
from cdk_rehearsal.faults import Faults
from cdk_rehearsal.latency import Latency
from cdk_rehearsal.limits import check_quotas
from cdk_rehearsal.meter import Meter, Record
from cdk_rehearsal.mixing import AT_ONCE, Mixing
from cdk_rehearsal.rates import Rates
from cdk_rehearsal.sandbox.execution_environment import asset_roots, layer_roots
from cdk_rehearsal.sandbox.moto_import import prepare_moto
from cdk_rehearsal.spool import Spool
from cdk_rehearsal.stand_ins import StandIn, StandIns, Stub
from cdk_rehearsal.virtual_time.clock import Clock
from cdk_rehearsal.virtual_time.pace import Pace
from cdk_rehearsal.virtual_time.processes import Process
from cdk_rehearsal.virtual_time.scheduler import Scheduler

if TYPE_CHECKING:
    # These import moto, or are about it: at run time the first rehearsal imports them.
    from cdk_rehearsal.server import Server
    from cdk_rehearsal.services.apis import Headers, HttpFront
    from cdk_rehearsal.services.connections import WebSocket
    from cdk_rehearsal.services.functions import Function, InvocationResult
    from cdk_rehearsal.services.outboxes import Email, Sms
    from cdk_rehearsal.updating import Updater

__all__ = ["OUTSIDE", "Rehearsal"]

_START = datetime(2026, 1, 5, 8, tzinfo=UTC)
_active = threading.Lock()


class Rehearsal:
    """A running cloud assembly; to be used in a ``with`` statement, one at a time.

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
        stubs: Mapping[str, Stub | None] | None = None,
        values: Mapping[str, Any] | None = None,
        stand_ins: bool = False,
        quotas: Mapping[str, int] | None = None,
    ) -> None:
        """Prepares to rehearse what ``cdk synth`` wrote to the directory ``assembly``.

        ``start`` is the virtual time at which it begins. ``logs`` is a directory for what
        handlers print, which ``logs()`` returns in any case. ``on_record`` is called with each
        record of the meter. Raises RehearsalError if there is no assembly.

        ``stubs`` are Python callables that take an event and a context, and answer for functions,
        by construct path; a pattern such as ``"*"`` is for all functions that cannot run, because
        they are in another language or a container image. An ARN adds what is outside the
        assembly: a function with its callable, or with None a new queue, topic, bus or stream.
        ``values`` are values of parameters, of imported exports, of parameters of Systems Manager
        and of dynamic references, by name. With ``stand_ins``, all that is not given is made up;
        the attribute ``stand_ins`` lists what was.

        ``quotas`` are the account's values of AWS's limits, by the names in SUPPORT.md. Raises
        RehearsalError for an unknown name, and for more than AWS grants.
        """
        check_quotas(quotas or {})
        self.assembly = Assembly(assembly)
        prepare_moto()
        from cdk_rehearsal.authorization.decisions import Access
        from cdk_rehearsal.deployment import Deployment
        from cdk_rehearsal.hooks import Hooks
        from cdk_rehearsal.moto_patches import make_client

        self.account = account
        self.region = region
        self.seed = seed
        self.latency = latency or Latency()
        self.clock = Clock(start)
        self.scheduler = Scheduler(self.clock, seed=seed, pace=pace)
        spool = Spool()
        self.meter = Meter(self.clock.now, on_record, spool)
        self.faults = Faults(
            self._is_site,
            lambda fault, source, target: self.meter.add("fault", source, target, name=fault.name),
            self.scheduler.random,
        )
        self.access = Access(account, region, self.clock.now)
        self._core = Core(
            *(account, region, self.scheduler, self.meter, self.faults, self.latency),
            *(self.access, Rates(self.clock.now), spool, make_client),
        )
        substitutes = StandIns(stubs or {}, values or {}, invents=stand_ins)
        self.stand_ins: Sequence[StandIn] = substitutes.used
        """The stubs and values that stand for what is not in the assembly."""
        self._deployment = deployment = Deployment(self._core, self.assembly, logs, substitutes)
        self.resources = deployment.resources
        self._by_path: defaultdict[str, list[Resource]] = defaultdict(list)
        self.lambdas = deployment.lambdas
        self.queues = deployment.queues
        self.outboxes = deployment.outboxes
        self.web = deployment.web
        self.metrics = deployment.metrics
        self._hooks = Hooks(self._core, seed, deployment.finder, quotas or {})
        self._updater: Updater
        self._server: Server | None = None
        self._api_servers: dict[str, Server] = {}

    def __enter__(self) -> Rehearsal:
        from cdk_rehearsal.updating import Updater

        if not _active.acquire(blocking=False):
            raise RehearsalError("another rehearsal is running in this process: end it first")
        try:
            self._hooks.install(self._deployment.install)
            given = (self._deployment, self.assembly, self._register)
            self._updater = updater = Updater(*given, on_change=self._resources_changed)
            updater.load()
            self._deployment.stacks.outputs = updater.outputs
            self._separate_modules()
            self.scheduler.outside = self._deployment.outside
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

    def _separate_modules(self) -> None:
        """Keeps modules of functions apart from the program's own."""
        outside = self._deployment.outside
        for function in self.functions:
            outside.roots |= asset_roots(function.directory)
            outside.roots |= frozenset().union(*map(layer_roots, function.layers))

    def _register(self, resource: Resource) -> None:
        self.resources.append(resource)
        self._by_path[resource.path].append(resource)
        arn = str(resource.attributes.get("Arn", ""))
        if tags := _tags(resource.properties.get("Tags")):
            self.access.tags[arn or resource.physical_id] = tags
        # The ARN of a log group is written with and without its streams.
        self._core.name(resource.path, resource.physical_id, arn, arn.removesuffix(":*"))

    def _close(self) -> None:
        try:
            for server in (self._server, *self._api_servers.values()):
                if server is not None:
                    server.stop()
            self.scheduler.close()
        finally:
            self._hooks.remove()
            self._deployment.close()
            _active.release()

    # -- updates --------------------------------------------------------------------------

    def name_release(self, name: str) -> None:
        """Gives all that is deployed now the name of a release, which records then state."""
        self._updater.name_release(name)
        self._deployment.state_machines.name_release(name)
        for function in self.lambdas.functions.values():
            function.release = name
            for environment in function.warm:
                environment.release = name

    def update(
        self, stack: str, assembly: Assembly, *, release: str = "", mixing: Mixing | None = None
    ) -> list[Resource]:
        """Updates a stack to its version in another assembly, while the application runs.

        Aliases whose traffic shifts gradually take their virtual time, in which all goes on that
        is due; see ``start_update``. Returns the resources that are created, changed or deleted.
        For the time of ``mixing``, each updated function and state machine answers with either
        version; ``release`` names the new one in records.

        Raises UpdateRolledBack if the alarms of a shift fire: the stack is then as it was before.
        Raises RehearsalError for what CloudFormation refuses, such as the removal of an export
        that is in use, and for what the rehearsal cannot update: the application is not to be used
        after that.
        """
        touched = self.start_update(stack, assembly, release=release, mixing=mixing).result()
        return cast("list[Resource]", touched)

    def start_update(
        self, stack: str, assembly: Assembly, *, release: str = "", mixing: Mixing | None = None
    ) -> Process:
        """Begins what ``update`` does, and returns the process whose result is that of ``update``.

        It goes on as virtual time passes, and waits while aliases shift.
        """
        return self.spawn(self._update, stack, assembly, release, mixing, name=f"update of {stack}")

    def _update(
        self, stack: str, assembly: Assembly, release: str, mixing: Mixing | None
    ) -> list[Resource]:
        from cdk_rehearsal.resources.registry import Release

        given = Release(release, mixing or AT_ONCE)
        return self._updater.update(stack, assembly, given)

    def _resources_changed(self) -> None:
        """Finds resources anew, by their paths and for their APIs."""
        self._by_path.clear()
        for each in self.resources:
            self._by_path[each.path].append(each)
        self._separate_modules()
        # Their routes and settings are read anew.
        for name in ("http", "_sockets"):
            vars(self).pop(name, None)

    def watch(self, watcher: Watcher) -> None:
        """Lets a function see each API call that is performed, whoever makes it.

        It gets what performs the call, the client, the operation and the parameters, and returns
        the answer. ``caller`` and ``release`` say what makes the call.
        """
        self._core.watchers.append(watcher)

    def read_logs(self, listener: Callable[[str, str], None]) -> None:
        """Calls a function with the path of a function and each text that it logs from now on."""
        self._core.log_listeners.append(listener)

    def release(self) -> str:
        """Returns the name of the release whose handler is running, or an empty text."""
        return self._core.release()

    # -- running --------------------------------------------------------------------------

    def run_until_idle(self, limit_s: float = 86_400.0) -> None:
        """Runs until nothing is due; RehearsalError if something still is after ``limit_s``.

        Schedules that have not fired yet, tasks that wait for their token and items that are to
        expire do not count: ``run_for`` reaches them.
        """
        self.scheduler.run_until_idle(limit_s)

    def run_for(self, seconds: float) -> None:
        """Lets ``seconds`` of virtual time pass."""
        self.scheduler.run_for(seconds)

    def reseed(self, seed: int) -> None:
        """Lets all that is random from now on come from another seed."""
        self.scheduler.random.seed(seed)
        self._hooks.reseed(seed)

    def spawn(self, fn: Callable[..., Any], *args: Any, name: str | None = None) -> Process:
        """Runs ``fn`` as a process of its own, which may sleep and wait in virtual time."""
        return self.scheduler.spawn(fn, *args, name=name, environment=self._deployment.outside)

    def run(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Runs ``fn`` in a process and waits for its result: from a process, or from outside."""
        return self.scheduler.call(fn, *args, **kwargs)

    def invoke(self, path: str, payload: Any) -> InvocationResult:
        """Invokes a function synchronously, as from outside, and waits for its answer."""
        function = self.function(path)
        answer = self.run(
            self.lambdas.invoke, function, json.dumps(payload), source=self._core.caller()
        )
        return cast("InvocationResult", answer)

    def serve(self, port: int = 0) -> str:
        """Lets AWS clients outside of this process look in; returns the endpoint's URL.

        Requests are answered between two steps of the rehearsal, never within one. A request with
        the header Host of an API reaches that API.
        """
        from cdk_rehearsal.server import Server, aws_endpoint

        if self._server is None:
            self._server = Server(self.scheduler, port, aws_endpoint(self._core, lambda: self.http))
        return self._server.url

    @cached_property
    def http(self) -> HttpFront:
        """The front of the application's HTTP and REST APIs, and of its function URLs."""
        from cdk_rehearsal.services.apis import Api, Endpoint, HttpFront
        from cdk_rehearsal.services.function_urls import TYPE, FunctionUrl
        from cdk_rehearsal.services.http_api import HttpApi
        from cdk_rehearsal.services.rest_api import RestApi
        from cdk_rehearsal.services.tokens import Issuer

        kinds: dict[str, type[Api[Any]]] = {
            "AWS::ApiGatewayV2::Api": HttpApi,
            "AWS::ApiGateway::RestApi": RestApi,
        }
        issuer = cache(lambda url: Issuer(url, self._core.account))
        endpoints: list[Endpoint[Any]] = [
            kinds[each.type](self._core, self.lambdas, self.resources, each, issuer)
            for each in self.resources
            if each.type in kinds and not _has_sockets(each)
        ]
        endpoints += [
            FunctionUrl(self._core, self.lambdas, each)
            for each in self.resources
            if each.type == TYPE
        ]
        return HttpFront(self._core, endpoints, issuer)

    @cached_property
    def _sockets(self) -> HttpFront:
        """The front of the application's WebSocket APIs."""
        from cdk_rehearsal.services.apis import HttpFront
        from cdk_rehearsal.services.websocket_api import WebSocketApi

        more = (self.http.issuer, self._deployment.connections)
        apis = [
            WebSocketApi(self._core, self.lambdas, self.resources, each, *more)
            for each in self.resources
            if _has_sockets(each)
        ]
        return HttpFront(self._core, apis, self.http.issuer)

    def connect(
        self,
        path: str = "/",
        *,
        headers: Headers | None = None,
        subprotocols: Sequence[str] = (),
        api: str | None = None,
        role: str | None = None,
    ) -> WebSocket:
        """Connects a client with a WebSocket API; ``path`` may have a query.

        ``api`` is the construct path of the API, if there is more than one. ``role`` is the ARN of
        a role that signs the request. Raises WebSocketRefused if the API does not accept it.
        """
        from cdk_rehearsal.services.websocket_api import connect

        return connect(
            *(self._sockets, path),
            headers=headers or {},
            subprotocols=subprotocols,
            api=api,
            role=role,
        )

    def token(self, subject: str, *, authorizer: str | None = None, **claims: Any) -> str:
        """Returns a JSON Web Token that an authorizer of the API accepts as ``subject``'s.

        ``authorizer`` is its name, if the API has more than one.
        """
        return self.http.token(subject, authorizer=authorizer, **claims)

    def serve_apis(self) -> dict[str, str]:
        """Serves each API and function URL at a free port of 127.0.0.1.

        Returns URLs by construct path.
        """
        from cdk_rehearsal.server import Server, http_api

        bases = self.http.base_paths
        for path in bases.keys() - self._api_servers.keys():
            self._api_servers[path] = Server(self.scheduler, 0, http_api(self.http, path))
        return {path: self._api_servers[path].url + base for path, base in bases.items()}

    def caller(self) -> str:
        """Returns the path of the function whose handler is running, or ``outside``."""
        return self._core.caller()

    # -- looking --------------------------------------------------------------------------

    def client(self, service: str, *, role: str | None = None) -> Any:
        """Returns a boto3 client of a service, as a program outside of the application has it.

        It may do everything. With the ARN of a role, it may do what the role may.
        """
        if role is None:
            return self._core.client(service)
        return self._core.client(service, self.access.session(role, "rehearsal"))

    def resource(self, path: str, kind: str | None = None) -> Resource:
        """Returns the resource at a construct path, if need be the one of a CloudFormation type.

        RehearsalError if there is none or more than one.
        """
        found = [r for r in self._by_path.get(path, ()) if kind is None or r.type == kind]
        if len(found) == 1:
            return found[0]
        if not found:
            near = [r.path for r in self.resources if r.path.endswith(path.rsplit("/", 1)[-1])]
            hint = f"; there are {', '.join(near[:5])}" if near else ""
            raise RehearsalError(f"no resource {kind or ''} at {path}{hint}")
        raise RehearsalError(f"{len(found)} resources at {path}: {[r.type for r in found]}")

    def physical_id(self, path: str) -> str:
        """Returns the physical id of the resource at a construct path."""
        return self.resource(path).physical_id

    def function(self, path: str) -> Function:
        """Returns the function at a construct path, or with a name or ARN."""
        if path not in self.lambdas.functions:
            self.resource(path, "AWS::Lambda::Function")
        return self.lambdas.functions[path]

    @property
    def functions(self) -> list[Function]:
        """All functions, each once."""
        return self._deployment.functions

    def logs(self, path: str) -> str:
        """Returns what the handlers of a function have printed and logged."""
        return self.function(path).log.text()

    def queue_depths(self) -> dict[str, int]:
        """Returns the number of messages in each queue, visible or not, by path."""
        return {queue.path: queue.depth for queue in self.queues}

    def dead_letter_queues(self) -> list[str]:
        """Returns the paths of all dead-letter queues."""
        return [queue.path for queue in self.queues if queue.arn in self.queues.dead_letter_arns]

    def messages(self, path: str) -> list[dict[str, Any]]:
        """Returns the messages of a queue without receiving them.

        Each has ``message_id``, ``body``, ``attributes``, ``receive_count``, the time ``sent``, and
        in a dead-letter queue the path of its ``source``, empty if a service sent it there.
        """
        return self.queues.by_path(path).peek()

    def _is_site(self, path: str) -> bool:
        """Whether there is a resource at a path, or a subscriber with this universal target."""
        universal = self._deployment.custom_buses.subscribers.targets
        return path in self._by_path or path in universal

    def retained_events(self, path: str) -> list[Any]:
        """Returns the payloads of the events that a Custom Event Bus retains, oldest first."""
        return self._deployment.custom_buses.retained(self.physical_id(path))

    @property
    def sent_sms(self) -> list[Sms]:
        """The text messages that were sent."""
        return self.outboxes.sms

    @property
    def sent_email(self) -> list[Email]:
        """The e-mails that were sent."""
        return self.outboxes.email

    def redrive(
        self, path: str, destination: str | None = None, only: Collection[str] | None = None
    ) -> int:
        """Moves a dead-letter queue's messages back to their sources, or on to ``destination``.

        With ``only``, moves those with these ids. Returns how many. See ``Queue.redrive``.
        """
        return self.queues.redrive(path, destination, only)

    def path_of(self, identifier: str) -> str:
        """Returns the construct path of a physical id or ARN; itself if it is not known."""
        return self._core.path_of(identifier)


def _has_sockets(resource: Resource) -> bool:
    """Whether a resource is a WebSocket API."""
    is_api = resource.type == "AWS::ApiGatewayV2::Api"
    return is_api and resource.properties.get("ProtocolType") == "WEBSOCKET"


def _tags(stated: Any) -> dict[str, str]:
    """Returns the tags in a template, which are a list or, for some types, an object."""
    if isinstance(stated, dict):
        return {name: str(value) for name, value in stated.items()}
    return {tag["Key"]: str(tag["Value"]) for tag in stated or () if isinstance(tag, dict)}
