"""What every rehearsed service needs: the account, time and chance, records, faults, names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cdk_rehearsal.faults import Faults
from cdk_rehearsal.latency import Latency, Span
from cdk_rehearsal.meter import Meter
from cdk_rehearsal.policies import Principal
from cdk_rehearsal.rates import Rates
from cdk_rehearsal.sandbox.execution_environment import ExecutionEnvironment
from cdk_rehearsal.spool import Spool
from cdk_rehearsal.virtual_time.scheduler import Scheduler

if TYPE_CHECKING:
    # It imports moto: at run time the first rehearsal does.
    from cdk_rehearsal.authorization.decisions import Access

Perform = Callable[[Any, str, dict[str, Any]], Any]
"""Performs an API call: takes a client, the name of an operation and parameters."""
Watcher = Callable[[Perform, Any, str, dict[str, Any]], Any]
"""Performs an API call with what it gets first, and may look before and after."""

OUTSIDE = "outside"
"""The source, in records, of everything that no resource of the assembly does."""

PRINCIPAL = "_rehearsal_principal"
"""The attribute of a client that does not act for a function, but for this principal."""

# Version 4, variant 1: https://www.rfc-editor.org/rfc/rfc9562
_UUID_MASK = (0xF << 76) | (0x3 << 62)
_UUID_4 = (0x4 << 76) | (0x2 << 62)


@dataclass(frozen=True, eq=False)
class Core:
    """What every rehearsed service needs; it knows none of the services."""

    account: str
    region: str
    scheduler: Scheduler
    meter: Meter
    faults: Faults
    latency: Latency
    access: Access
    rates: Rates
    spool: Spool
    """Where finished work goes."""
    make_client: Callable[[str, str], Any]
    """Makes the boto3 client of a service in a region."""
    paths: dict[str, str] = field(default_factory=dict)
    """Construct paths by physical id and by ARN."""
    apis: dict[str, Callable[[Any, str, dict[str, Any]], dict[str, Any]]] = field(
        default_factory=dict
    )
    """What answers the APIs that moto lacks, by boto3's name of the service."""
    watchers: list[Watcher] = field(default_factory=list)
    """What sees each API call that is performed, whoever makes it."""
    log_listeners: list[Callable[[str, str], None]] = field(default_factory=list)
    """What gets the path of a function and the text, whenever one writes to its log."""
    _clients: dict[tuple[str, Principal | None], Any] = field(default_factory=dict)

    def client(self, service: str, principal: Principal | None = None) -> Any:
        """Returns the boto3 client of a service; calls of a principal's are authorized."""
        key = (service, principal)
        if key not in self._clients:
            self._clients[key] = self.make_client(service, self.region)
            vars(self._clients[key])[PRINCIPAL] = principal
        return self._clients[key]

    def name(self, path: str, *identifiers: str) -> None:
        """Lets physical ids and ARNs stand for the construct path of their resource."""
        for identifier in identifiers:
            if identifier:
                self.paths.setdefault(identifier, path)

    def path_of(self, identifier: str) -> str:
        """Returns the construct path of a physical id or ARN; itself if it is not known."""
        return self.paths.get(identifier, identifier)

    def sender(self) -> str | None:
        """Returns the path of the function whose handler runs at the moment, if one does."""
        process = self.scheduler.current
        environment = process.environment if process is not None else None
        return environment.function if isinstance(environment, ExecutionEnvironment) else None

    def release(self) -> str:
        """Returns the release of the code that runs at the moment, empty if it has no name."""
        process = self.scheduler.current
        environment = process.environment if process is not None else None
        return environment.release if isinstance(environment, ExecutionEnvironment) else ""

    def principal(self) -> Principal | None:
        """Returns the session of the function whose handler runs at the moment, if one does."""
        process = self.scheduler.current
        environment = process.environment if process is not None else None
        return environment.principal if isinstance(environment, ExecutionEnvironment) else None

    def caller(self) -> str:
        """Returns the path of the function whose handler runs at the moment, or ``outside``."""
        return self.sender() or OUTSIDE

    def logged(self, path: str, text: str) -> None:
        """Hands on what a function writes to its log."""
        for listener in self.log_listeners:
            listener(path, text)

    def draw(self, span: Span) -> float:
        """Returns a number of seconds from a span, drawn from the seed."""
        return self.scheduler.random.uniform(*span)

    def new_id(self) -> str:
        """Returns a new UUID, drawn from the seed."""
        # As uuid.UUID(int=…, version=4) writes it, in a third of the time.
        bits = self.scheduler.random.getrandbits(128) & ~_UUID_MASK | _UUID_4
        text = f"{bits:032x}"
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
