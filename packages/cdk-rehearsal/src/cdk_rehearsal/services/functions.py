"""Lambda's functions: what the template says of each, its invocations' context and results."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from cdk_rehearsal.errors import ProcessKilled
from cdk_rehearsal.limits import LIMITS
from cdk_rehearsal.mixing import Blend
from cdk_rehearsal.sandbox.execution_environment import ExecutionEnvironment, FunctionLog
from cdk_rehearsal.stand_ins import Stub


class Throttled(Exception):
    """The function has no concurrency left: TooManyRequestsException of the Invoke API."""


class PayloadTooLarge(Exception):
    """The event exceeds the limit of the Invoke API: RequestTooLargeException."""


class TimedOut(ProcessKilled):
    """Ends an invocation that has reached its deadline."""


@dataclass
class AsyncConfig:
    """How a function's asynchronous events are retried, and where failed ones go.

    Lambda's own defaults:
    https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html
    """

    retries: int = LIMITS["lambda.retries"]
    max_age_s: float = LIMITS["lambda.event_age_s"]
    on_failure: str | None = None
    on_success: str | None = None


@dataclass
class Function:
    """A Lambda function as the template describes it, and its warm environments."""

    path: str
    name: str
    arn: str
    handler: str
    directory: Path
    role: str
    variables: dict[str, str]
    timeout_s: float
    memory_mb: int
    reserved_concurrency: int | None
    log_group: str
    log: FunctionLog
    log_format: str = "Text"
    logs_reports: bool = True
    """Whether its log has a report of each invocation."""
    dead_letter_target: str | None = None
    stub: Stub | None = None
    """A callable that answers in place of the handler."""
    versions: Mapping[str, float] = field(default_factory=lambda: {"$LATEST": 1.0})
    """The versions that it runs, each with its share of the invocations."""
    unqualified: Function | None = None
    """For a version or an alias, the function, whose environments and concurrency it uses."""
    policy: dict[str, Any] = field(default_factory=lambda: {"Statement": []})
    layers: list[Path] = field(default_factory=list)
    """The directories of its layers' own modules."""
    asynchronous: AsyncConfig = field(default_factory=AsyncConfig)
    release: str = ""
    """The name of the release of the application that it comes from."""
    blend: Blend[Function] | None = None
    """After an update, the versions that answer for a while."""
    warm: deque[ExecutionEnvironment] = field(default_factory=deque)
    active: int = 0
    environments: int = 0

    @property
    def slowness(self) -> float:
        """How many times longer than on a whole CPU, which 1,769 MB have, its code runs.

        https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html
        """
        return max(1.0, 1769 / self.memory_mb)


CONFIGURATION = (
    *("handler", "role", "variables", "timeout_s", "memory_mb", "reserved_concurrency"),
    *("log_group", "log_format", "logs_reports", "dead_letter_target", "stub", "layers"),
)
"""What the configuration of a function consists of, besides its code."""


class Consumer(Protocol):
    """A function or pipe: it takes batches of what is polled with its role."""

    @property
    def path(self) -> str:
        """Its construct path."""

    @property
    def name(self) -> str:
        """Its name, which sessions of its role have."""

    @property
    def arn(self) -> str:
        """Its ARN."""

    @property
    def role(self) -> str:
        """The ARN of its role."""


@dataclass(frozen=True)
class InvocationResult:
    """What an invocation answered.

    ``payload`` is the decoded answer; with a ``function_error`` it is Lambda's description of
    the error, with ``errorType`` and ``errorMessage``.
    """

    payload: Any
    function_error: str | None
    request_id: str
    attempts: int = 1
    version: str = "$LATEST"

    @property
    def failed(self) -> bool:
        """Returns whether the handler, or the environment that it ran in, failed."""
        return self.function_error is not None


class LambdaContext:
    """The second argument of a handler.

    https://docs.aws.amazon.com/lambda/latest/dg/python-context.html
    """

    identity: object | None = None
    client_context: object | None = None

    def __init__(
        self,
        function: Function,
        invoked_arn: str,
        version: str,
        request_id: str,
        deadline: float,
        now: Any,
    ) -> None:
        self.function_version = version
        self.function_name = function.name
        self.invoked_function_arn = invoked_arn
        self.memory_limit_in_mb = str(function.memory_mb)
        self.aws_request_id = request_id
        self.log_group_name = function.log_group
        self.log_stream_name = function.variables["AWS_LAMBDA_LOG_STREAM_NAME"]
        self._deadline = deadline
        self._now = now

    def get_remaining_time_in_millis(self) -> int:
        """Returns the milliseconds of virtual time that are left."""
        return max(0, int((self._deadline - self._now()) * 1000))
