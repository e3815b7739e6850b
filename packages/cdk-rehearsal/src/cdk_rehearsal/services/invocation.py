"""Lambda: synchronous and asynchronous invocation of functions, within virtual time."""

import json
import os
import traceback
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from moto.awslambda.exceptions import LambdaClientError
from moto.awslambda.models import LambdaBackend, lambda_backends

from cdk_rehearsal.authorization.decisions import Denied
from cdk_rehearsal.core import Core
from cdk_rehearsal.errors import ProcessKilled, RehearsalError
from cdk_rehearsal.limits import LIMITS
from cdk_rehearsal.mixing import Blend, Mixing
from cdk_rehearsal.sandbox.execution_environment import AssetFinder, ExecutionEnvironment
from cdk_rehearsal.sandbox.patching import Patches
from cdk_rehearsal.services.destinations import Destinations
from cdk_rehearsal.services.functions import (
    CONFIGURATION,
    AsyncConfig,
    Function,
    InvocationResult,
    LambdaContext,
    PayloadTooLarge,
    Throttled,
    TimedOut,
)
from cdk_rehearsal.services.polling import may_log
from cdk_rehearsal.services.texts import iso_milliseconds, trace_header

# Retries come one and then two minutes after the failure:
# https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html
_ASYNC_RETRY_DELAYS = (60.0, 120.0)
# Throttled and failed-by-the-service attempts back off from one second to five minutes.
_THROTTLE_BACKOFF = (1.0, 300.0)
_SCALING = "lambda.scaling_per_10_seconds"

_HALF_SHARE = 0.1
"""The weight of a version between two calls of an update: it lives for seconds only."""

_PACKAGE = str(Path(__file__).parents[1])


class LambdaService:
    """Invokes functions, each in an environment of its own, within virtual time."""

    def __init__(self, core: Core, finder: AssetFinder, destinations: Destinations) -> None:
        self._core = core
        self._finder = finder
        self._destinations = destinations
        self.functions: dict[str, Function] = {}
        self._newest: dict[str, int] = {}
        """The number of the newest version of each function, by its ARN."""
        self._reserved = 0
        self._unreserved = 0

    def add(self, function: Function) -> None:
        """Makes a function known, by its path, name and ARN."""
        for key in (function.path, function.name, function.arn, f"{function.arn}:$LATEST"):
            self.functions[key] = function
        self._core.access.function_policies[function.arn] = function.policy
        self._reserved += function.reserved_concurrency or 0

    def add_version(self, function: Function, version: str) -> None:
        """Makes a version of a function known, with environments of its own.

        https://docs.aws.amazon.com/lambda/latest/dg/configuration-versions.html
        https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
        """
        name = "AWS_LAMBDA_LOG_STREAM_NAME"
        variables = {
            **function.variables,
            "AWS_LAMBDA_FUNCTION_VERSION": version,
            name: function.variables[name].replace("[$LATEST]", f"[{version}]"),
        }
        self.add_qualified(function, version, {version: 1.0})
        published = self.functions[f"{function.arn}:{version}"]
        published.variables, published.warm = variables, deque()

    def add_qualified(
        self, function: Function, qualifier: str, versions: Mapping[str, float]
    ) -> None:
        """Makes a version or an alias of a function known, with a policy of its own.

        ``versions`` are its versions, each with its share of the invocations.
        https://docs.aws.amazon.com/lambda/latest/dg/configuring-alias-routing.html
        """
        qualified = replace(
            function,
            arn=f"{function.arn}:{qualifier}",
            versions=versions,
            blend=None,
            unqualified=function,
            policy={"Statement": []},
            asynchronous=AsyncConfig(),
        )
        for key in (qualified.arn, f"{function.name}:{qualifier}"):
            self.functions[key] = qualified
        self._core.access.function_policies[qualified.arn] = qualified.policy

    def remove(self, function: Function) -> None:
        """Forgets a function with its versions and aliases."""
        for key in [k for k, each in self.functions.items() if _is_of(each, function)]:
            del self.functions[key]
        self._core.access.function_policies.pop(function.arn, None)
        self._reserved -= function.reserved_concurrency or 0

    def remove_version(self, arn: str) -> None:
        """Forgets a version. moto forgets it, too, but never gives its number again."""
        function, _, version = arn.rpartition(":")
        self.remove_qualified(arn)
        backend = lambda_backends[self._core.account][self._core.region]
        backend.delete_function(function, version)

    def remove_qualified(self, arn: str) -> None:
        """Forgets a version or an alias."""
        for key in [k for k, each in self.functions.items() if each.arn == arn]:
            del self.functions[key]
        self._core.access.function_policies.pop(arn, None)

    def update(self, function: Function, new: Function, mixing: Mixing) -> None:
        """Lets a function become what `new` describes. Both versions answer for a while.

        Code and configuration are updated by two calls, whose order is not documented. So each
        may meet the other's former version, unless an alias is what is invoked: a version has
        both. https://docs.aws.amazon.com/lambda/latest/api/API_UpdateFunctionCode.html
        https://docs.aws.amazon.com/lambda/latest/api/API_UpdateFunctionConfiguration.html
        """
        former = replace(function, unqualified=function, blend=None)
        self._reserved += (new.reserved_concurrency or 0) - (function.reserved_concurrency or 0)
        for name in CONFIGURATION:
            setattr(function, name, getattr(new, name))
        function.directory, function.release = new.directory, new.release
        function.warm = deque()
        latest = replace(function, unqualified=function, blend=None, warm=function.warm)
        parts = [(former, 1 - mixing.share), (latest, mixing.share)]
        parts += [(half, _HALF_SHARE) for half in _halves(former, latest)]
        until = self._core.scheduler.now() + mixing.seconds
        function.blend = Blend(parts, until) if mixing.seconds else None

    def function(self, key: str) -> Function:
        """Returns the function with a path, name or ARN; RehearsalError if there is none."""
        if key not in self.functions:
            raise RehearsalError(f"there is no function {key}")
        return self.functions[key]

    def admits(
        self, function: Function, service: str, source_arn: str, role: str | None = None
    ) -> bool:
        """Whether a service may invoke a function on behalf of the resource ``source_arn``.

        A role, if there is one, takes the place of the function's policy.
        https://docs.aws.amazon.com/lambda/latest/dg/access-control-resource-based.html
        """
        access, action = self._core.access, "lambda:InvokeFunction"
        if role is not None:
            return access.role_may(role, service, action, function.arn)
        return access.service_may(service, action, function.arn, source_arn)

    def invoke(
        self, function: Function, payload: str, *, source: str, **detail: Any
    ) -> InvocationResult:
        """Runs the handler on the JSON text ``payload`` and waits for its answer.

        To be called in a process. ``detail`` is added to the record. Raises Throttled without
        concurrency, PayloadTooLarge over 6 MB.
        """
        if len(payload) > LIMITS["lambda.payload_bytes"]:
            raise PayloadTooLarge(f"{len(payload)} bytes exceed the limit of 6291456")
        return self._invoke(function, payload, source, self._core.new_id(), type="sync", **detail)

    def invoke_async(self, function: Function, payload: str, *, source: str) -> str:
        """Queue an event for a function and return the request's id.

        Raises PayloadTooLarge over 1 MB.
        """
        if len(payload) > LIMITS["lambda.async_payload_bytes"]:
            raise PayloadTooLarge(f"{len(payload)} bytes exceed the limit of 1048576")
        request_id = self._core.new_id()
        self._core.scheduler.spawn(
            self._run_async,
            function,
            payload,
            source,
            request_id,
            name=f"asynchronous event for {function.path}",
            critical=True,
        )
        return request_id

    def install(self, patches: Patches) -> None:
        """Answers Lambda's Invoke API, and follows what clients change.

        These are a function's variables, its versions, and the versions of an alias.
        """
        patches.set(LambdaBackend, "invoke", self._invoke_api())
        update = LambdaBackend.update_function_configuration

        def updated(backend: LambdaBackend, name: str, qualifier: str, body: dict[str, Any]) -> Any:
            if others := sorted(body.keys() - {"Environment"}):
                raise RehearsalError(
                    f"the rehearsal of UpdateFunctionConfiguration changes no {', '.join(others)}: "
                    "change the template"
                )
            model = backend.get_function(name, qualifier)
            former = dict(model.environment_vars)
            result = update(backend, name, qualifier, body)
            self._reconfigure(self.functions[model.function_arn], former, body)
            return result

        patches.set(LambdaBackend, "update_function_configuration", updated)
        publish, move = LambdaBackend.publish_version, LambdaBackend.update_alias

        def published(backend: LambdaBackend, name: str, description: str = "") -> Any:
            """https://docs.aws.amazon.com/lambda/latest/api/API_PublishVersion.html."""
            arn = backend.get_function(name).function_arn
            # moto counts the versions that there are, and would give a number twice.
            published = backend._lambdas._functions[arn.rpartition(":")[2]]["versions"]
            deleted: list[Any] = [None] * (self._newest.get(arn, 0) - len(published))
            published[:0] = deleted
            version: Any = publish(backend, name, description)
            del published[: len(deleted)]
            self._newest[arn] = int(version.version)
            if f"{arn}:{version.version}" not in self.functions:
                self.add_version(self.functions[arn], str(version.version))
            return version

        def moved(backend: LambdaBackend, *args: Any, **kwargs: Any) -> Any:
            """https://docs.aws.amazon.com/lambda/latest/api/API_UpdateAlias.html."""
            alias: Any = move(backend, *args, **kwargs)
            more = (alias.routing_config or {}).get("AdditionalVersionWeights", {})
            weights = {version: float(weight) for version, weight in more.items()}
            rest = {alias.function_version: 1.0 - sum(weights.values())}
            moving = self.functions[alias.arn]
            moving.versions = {**rest, **weights}
            version = self.functions[f"{alias.arn.rpartition(':')[0]}:{alias.function_version}"]
            for attribute in CONFIGURATION:
                setattr(moving, attribute, getattr(version, attribute))
            return alias

        patches.set(LambdaBackend, "publish_version", published)
        patches.set(LambdaBackend, "update_alias", moved)

    def _reconfigure(
        self, function: Function, former: Mapping[str, str], body: Mapping[str, Any]
    ) -> None:
        """Replaces a function's variables. What runs goes on with those that it has.

        https://docs.aws.amazon.com/lambda/latest/api/API_UpdateFunctionConfiguration.html
        """
        given = body.get("Environment", {}).get("Variables", former)
        kept = {k: v for k, v in function.variables.items() if k not in former}
        function.variables = {**given, **kept}
        function.warm = deque()

    def _invoke_api(self) -> Callable[..., Any]:
        """Returns what answers Lambda's Invoke API.

        https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html
        """

        def invoke(
            backend: LambdaBackend,
            function_name: str,
            qualifier: str | None,
            body: Any,
            headers: Any,
            response_headers: dict[str, Any],
        ) -> bytes:
            model = backend.get_function(function_name, qualifier)
            key = function_name if ":" in function_name else model.function_name
            if qualifier and not key.endswith(f":{qualifier}"):
                key = f"{key}:{qualifier}"
            function = self.functions.get(key) or self.functions[model.function_arn]
            payload = (body.decode() if isinstance(body, bytes) else body) or "{}"
            try:
                json.loads(payload)
            except ValueError as error:
                raise _refusal(
                    400, "InvalidRequestContentException", f"Could not parse request body: {error}"
                ) from None
            source = self._core.caller()
            kind = headers.get("X-Amz-Invocation-Type") or headers.get("x-amz-invocation-type")
            try:
                if kind == "Event":
                    self.invoke_async(function, payload, source=source)
                    return b""
                if kind == "DryRun":
                    return b""
                result: InvocationResult = self._core.scheduler.call(
                    self.invoke, function, payload, source=source
                )
            except Throttled as error:
                raise _refusal(429, "TooManyRequestsException", str(error)) from None
            except PayloadTooLarge as error:
                raise _refusal(413, "RequestTooLargeException", str(error)) from None
            if result.function_error:
                response_headers["x-amz-function-error"] = result.function_error
            answer = json.dumps(result.payload).encode()
            response_headers["Content-Length"] = str(len(answer))
            return answer

        return invoke

    # -- one invocation -------------------------------------------------------------------

    def _invoke(
        self, function: Function, payload: str, source: str, request_id: str, **detail: Any
    ) -> InvocationResult:
        shared = function.unqualified or function
        version = self._version(function)
        running = self._running(self.function(f"{shared.arn}:{version}"))
        faults = self._core.faults
        if (
            self._is_busy(shared)
            or not (running.warm or self._core.rates.take(_SCALING, of=shared.path))
            or faults.strike("invoke", source, function.path)
        ):
            self._core.meter.add("throttle", source, function.path)
            raise Throttled("Rate Exceeded.")
        scheduler = self._core.scheduler
        started = scheduler.now()
        warm = running.warm
        cold = not warm
        environment = self._new_environment(running) if cold else warm.popleft()
        environment.ahead_s = faults.ahead(function.path)
        shared.active += 1
        self._unreserved += shared.reserved_concurrency is None
        concurrent = shared.active
        # The deadline runs from the end of the initialization.
        init_s = self._core.draw(self._core.latency.cold_start_s) if cold else 0.0
        if cold:
            scheduler.sleep(init_s)
        deadline = scheduler.now() + running.timeout_s
        context = LambdaContext(running, function.arn, version, request_id, deadline, scheduler.now)
        process = scheduler.spawn(
            self._run_handler,
            running,
            environment,
            payload,
            context,
            name=f"{function.path} {request_id}",
            environment=environment,
        )
        timer = scheduler.call_at(deadline, process.kill, TimedOut())
        try:
            process.join()
        finally:
            timer.cancel()
            shared.active -= 1
            self._unreserved -= shared.reserved_concurrency is None
        body, error = self._outcome(running, process.error, process.value, request_id)
        if error is None or not _destroys(process.error):
            warm.append(environment)
        self._core.meter.add(
            "invocation",
            source,
            function.path,
            request_id=request_id,
            cold=cold,
            concurrent=concurrent,
            duration_s=round(scheduler.now() - started, 6),
            init_s=init_s,
            error=json.loads(body) if error else None,
            **({"version": version} if function.unqualified else {}),
            **({"release": running.release} if running.release else {}),
            **detail,
        )
        return InvocationResult(_decoded(body), error, request_id, version=version)

    def _running(self, function: Function) -> Function:
        """Returns the version of a function that answers: drawn, for a while after an update."""
        if function.blend is None:
            return function
        scheduler = self._core.scheduler
        return function.blend.draw(scheduler.random, scheduler.now()) or function

    def _is_busy(self, function: Function) -> bool:
        """Whether a function has no concurrency left: its own, or what the account's shares.

        https://docs.aws.amazon.com/lambda/latest/dg/lambda-concurrency.html
        """
        if function.reserved_concurrency is not None:
            return function.active >= function.reserved_concurrency
        return self._unreserved >= LIMITS["lambda.concurrent_executions"] - self._reserved

    def _version(self, function: Function) -> str:
        """Returns the version that runs: by its share, if there are several."""
        versions = function.versions
        if len(versions) == 1:
            return next(iter(versions))
        (drawn,) = self._core.scheduler.random.choices([*versions], [*versions.values()])
        return drawn

    def _run_handler(
        self,
        function: Function,
        environment: ExecutionEnvironment,
        payload: str,
        context: LambdaContext,
    ) -> str:
        """Runs in the process that has the environment installed; returns the answer as JSON."""
        # https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
        identity = context.aws_request_id.replace("-", "")
        os.environ["_X_AMZN_TRACE_ID"] = trace_header(
            self._core.scheduler.now(), identity, identity[-16:]
        )
        try:
            handler = environment.load(function.handler)
        except (Exception, SystemExit) as error:
            raise _InitError(error) from error
        faults = self._core.faults
        faults.check("before", "", function.path)
        if cpu_s := self._core.latency.handler_cpu_s:
            self._core.scheduler.sleep(cpu_s * function.slowness)
        answer = handler(json.loads(payload), context)
        faults.check("after", "", function.path)
        if isinstance(answer, bytes):
            return answer.decode(errors="replace")
        try:
            return json.dumps(answer, default=_encoded)
        except (TypeError, ValueError) as error:
            raise _MarshalError(f"Unable to marshal response: {error}") from error

    def _outcome(
        self, function: Function, error: BaseException | None, value: Any, request_id: str
    ) -> tuple[str, str | None]:
        """Returns the answer's JSON and the value of X-Amz-Function-Error."""
        if error is None and len(value) <= LIMITS["lambda.payload_bytes"]:
            return value, None
        description: dict[str, Any]
        if error is None:
            description = {
                "errorType": "Function.ResponseSizeTooLarge",
                "errorMessage": f"Response payload size ({len(value)} bytes) exceeded maximum "
                f"allowed payload size ({LIMITS['lambda.payload_bytes']} bytes).",
            }
        elif isinstance(error, TimedOut):
            description = {
                "errorType": "Sandbox.Timedout",
                "errorMessage": f"RequestId: {request_id} Error: Task timed out after "
                f"{function.timeout_s:.2f} seconds",
            }
        elif isinstance(error, SystemExit):
            description = {
                "errorType": "Runtime.ExitError",
                "errorMessage": f"RequestId: {request_id} Error: Runtime exited with error: "
                f"exit status {error.code or 0}",
            }
        elif isinstance(error, ProcessKilled) or not isinstance(error, Exception):
            raise error
        else:
            cause = error.error if isinstance(error, _InitError) else error
            description = {
                "errorMessage": _message(function, error),
                "errorType": _type(error),
                "requestId": request_id,
                "stackTrace": _stack(function, cause),
            }
        function.log.write(
            f"[ERROR] {description['errorType']}: {description['errorMessage']}\n"
            + "".join(description.get("stackTrace", []))
        )
        return json.dumps(description), "Unhandled"

    def _new_environment(self, function: Function) -> ExecutionEnvironment:
        shared = function.unqualified or function
        shared.environments += 1
        if not may_log(self._core, function):
            function.log.muted = True
        environment = ExecutionEnvironment(
            function.path,
            [function.directory, *function.layers],
            function.variables,
            function.log,
            self._finder,
            self._core.scheduler.clock,
            self._core.access.session(function.role, function.name),
        )
        environment.handler = function.stub
        environment.slowness = function.slowness
        environment.release = function.release
        return environment

    # -- asynchronous invocation ----------------------------------------------------------

    def _run_async(self, function: Function, payload: str, source: str, request_id: str) -> None:
        """Tries an event until it succeeds, is too old or has used up its retries.

        https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html
        """
        scheduler = self._core.scheduler
        config = function.asynchronous
        expires = scheduler.now() + config.max_age_s
        backoff, longest = _THROTTLE_BACKOFF
        attempts = 0
        result: InvocationResult | None = None
        while True:
            try:
                result = self._invoke(function, payload, source, request_id, type="async")
            except Throttled:
                delay = backoff
                backoff = min(backoff * 2, longest)
            else:
                attempts += 1
                if not result.failed:
                    self._report(function, payload, request_id, "Success", attempts, result)
                    return
                if attempts > config.retries:
                    condition = "RetriesExhausted"
                    break
                delay = _ASYNC_RETRY_DELAYS[min(attempts, len(_ASYNC_RETRY_DELAYS)) - 1]
            if scheduler.now() + delay > expires:
                condition = "EventAgeExceeded"
                break
            scheduler.sleep(delay)
        self._report(function, payload, request_id, condition, attempts, result)

    def _report(
        self,
        function: Function,
        payload: str,
        request_id: str,
        condition: str,
        attempts: int,
        result: InvocationResult | None,
    ) -> None:
        """Sends an asynchronous event's fate to the function's destination and dead-letter queue.

        https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
        """
        core = self._core
        config = function.asynchronous
        succeeded = condition == "Success"
        sent = True
        target = config.on_success if succeeded else config.on_failure
        if target is not None:
            record: dict[str, Any] = {
                "version": "1.0",
                "timestamp": iso_milliseconds(core.scheduler.now()),
                "requestContext": {
                    "requestId": request_id,
                    "functionArn": function.arn
                    if function.unqualified
                    else f"{function.arn}:$LATEST",
                    "condition": condition,
                    "approximateInvokeCount": attempts,
                },
                "requestPayload": json.loads(payload),
            }
            if result is not None:
                record["responseContext"] = {"statusCode": 200, "executedVersion": result.version}
                if result.function_error:
                    record["responseContext"]["functionError"] = result.function_error
                record["responsePayload"] = result.payload
            sent = self._send(function, target, json.dumps(record))
        if succeeded:
            return
        if function.dead_letter_target is not None:
            error = result.payload if result is not None else {"errorMessage": "Rate Exceeded."}
            sent = self._send(
                function,
                function.dead_letter_target,
                payload,
                {
                    "RequestID": request_id,
                    "ErrorCode": "200" if result is not None else "429",
                    "ErrorMessage": str(error.get("errorMessage", ""))[:1024],
                },
            )
        dead = function.dead_letter_target or config.on_failure
        if dead is not None and sent:
            core.meter.add("dead_letter", function.path, core.path_of(dead), condition=condition)
        else:
            core.meter.add("discarded", function.path, "nowhere", condition=condition)

    def _send(
        self,
        function: Function,
        destination: str,
        body: str,
        attributes: dict[str, str] | None = None,
    ) -> bool:
        """Sends a text with the function's role; returns whether the role permits that."""
        try:
            self._destinations.send(destination, body, source=function, attributes=attributes)
        except Denied as denied:
            self._core.meter.add(
                *("delivery", function.path, self._core.path_of(destination)),
                outcome="denied",
                error=str(denied),
            )
            return False
        return True


def _is_of(each: Function, function: Function) -> bool:
    return each is function or each.unqualified is function


def _halves(former: Function, latest: Function) -> list[Function]:
    """Returns the versions between two calls: new code without its settings, and the reverse."""
    if former.directory == latest.directory or former.variables == latest.variables:
        return []
    configured = {name: getattr(latest, name) for name in CONFIGURATION}
    return [
        replace(
            former,
            directory=latest.directory,
            release=f"{latest.release} code, {former.release} settings",
            warm=deque(),
        ),
        replace(
            former,
            **configured,
            release=f"{former.release} code, {latest.release} settings",
            warm=deque(),
        ),
    ]


def _encoded(value: Any) -> Any:
    """The JSON of a value that JSON has not, as the runtime of Python writes it.

    https://github.com/aws/aws-lambda-python-runtime-interface-client
    """
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, Decimal):
        return int(value) if value.is_finite() and value == int(value) else float(value)
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


def _decoded(body: str) -> Any:
    # A handler that returns bytes decides on the whole body, which need not be JSON.
    try:
        return json.loads(body)
    except ValueError:
        return body


def _refusal(status: int, code: str, message: str) -> LambdaClientError:
    error = LambdaClientError(code, message)
    error.code = status
    return error


class _InitError(Exception):
    """The handler's module could not be loaded."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(str(error))
        self.error = error


class _MarshalError(Exception):
    """The handler's answer is no JSON."""


def _destroys(error: BaseException | None) -> bool:
    """Whether an invocation's end takes its environment with it: a crash, or no start."""
    return isinstance(error, _InitError | TimedOut | SystemExit)


def _stack(function: Function, error: BaseException) -> list[str]:
    """Returns the frames of an error from the handler on, with paths as they are in Lambda."""
    frames = traceback.extract_tb(error.__traceback__)
    while frames and frames[0].filename.startswith((_PACKAGE, "<frozen importlib")):
        frames.pop(0)
    return [line.replace(str(function.directory), "/var/task") for line in frames.format()]


def _type(error: BaseException) -> str:
    if isinstance(error, _MarshalError):
        return "Runtime.MarshalError"
    if isinstance(error, _InitError):
        if isinstance(error.error, ImportError):
            return "Runtime.ImportModuleError"
        if isinstance(error.error, AttributeError) and "has no attribute" in str(error.error):
            return "Runtime.HandlerNotFound"
        return type(error.error).__name__
    return type(error).__name__


def _message(function: Function, error: BaseException) -> str:
    if isinstance(error, _InitError) and isinstance(error.error, ImportError):
        module = function.handler.rpartition(".")[0]
        return f"Unable to import module '{module}': {error.error}"
    return str(error)
