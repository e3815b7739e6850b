"""Installs a rehearsal in the interpreter, botocore and moto, and removes it again."""

import atexit
import gc
import os
import random
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from functools import cache, partial
from typing import Any, NoReturn

from botocore.client import BaseClient
from botocore.exceptions import BotoCoreError, ClientError
from moto import mock_aws
from moto.iam import models as iam_models
from moto.moto_api._internal import mock_random

from cdk_rehearsal import moto_patches
from cdk_rehearsal.authorization.decisions import Denied
from cdk_rehearsal.core import PRINCIPAL, Core
from cdk_rehearsal.faults import Call
from cdk_rehearsal.limits import LIMITS
from cdk_rehearsal.policies import Principal
from cdk_rehearsal.sandbox.egress import Egress, environment, set_environment
from cdk_rehearsal.sandbox.execution_environment import AssetFinder, ExecutionEnvironment
from cdk_rehearsal.sandbox.patching import Patches
from cdk_rehearsal.services import served_limits
from cdk_rehearsal.services.call_limits import refuse, within_limits

# Nearly all objects that a rehearsal makes stay: a second search for cycles finds hardly any.
_GC_THRESHOLDS = (50_000, 100, 100)

# Which parameter of an API call names the resource, by service.
_RESOURCE_PARAMETERS = {
    "cognito-idp": "UserPoolId",
    "dynamodb": "TableName",
    "eventbridgev2": "EventBusArn",
    "lambda": "FunctionName",
    "s3": "Bucket",
    "scheduler": "GroupName",
    "secretsmanager": "SecretId",
    "sesv2": "FromEmailAddress",
    "sns": "TopicArn",
    "sqs": "QueueUrl",
    "stepfunctions": "stateMachineArn",
}

# Codes of refused calls, and of calls for which the key of a resource may not be used, by service.
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/troubleshooting-access-denied.html
# https://docs.aws.amazon.com/sns/latest/api/CommonErrors.html
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/troubleshoot-403-errors.html
_DENIED = {
    **dict.fromkeys(("cloudwatch", "iam", "s3", "sqs", "sts"), "AccessDenied"),
    "sns": "AuthorizationError",
}
_KEY_DENIED = {
    "kinesis": "KMSAccessDeniedException",
    "s3": "AccessDenied",
    "sns": "KMSAccessDenied",
    "sqs": "KMS.AccessDeniedException",
}
_DENIED_STATUS = {"json": 400}
_CALLBACKS = "apigatewaymanagementapi"
"""The service whose endpoint names the resource: the stage of a WebSocket API."""


@cache
def _freeze_at_exit() -> None:
    # Otherwise Python would search all objects for cycles once more, for seconds, when it ends.
    atexit.register(gc.freeze)


class Hooks:
    """All replacements that are in place while a rehearsal runs."""

    def __init__(
        self, core: Core, seed: int, finder: AssetFinder, quotas: Mapping[str, int]
    ) -> None:
        self._core = core
        self._quotas = quotas
        self._seed = seed
        self._finder = finder
        self.patches = Patches()
        self._undo: list[Callable[[], object]] = []

    def install(self, install_services: Callable[[Patches], None]) -> None:
        """Starts moto and installs all replacements, those of the services among them."""
        core, patches = self._core, self.patches
        for name, value in self._quotas.items():
            patches.item(LIMITS, name, value)
        thresholds = gc.get_threshold()
        gc.set_threshold(*_GC_THRESHOLDS)
        self._undo.append(lambda: gc.set_threshold(*thresholds))
        self._undo.append(set_environment(environment(core.region)))
        Egress().install(patches)
        moto_patches.keep_constants(patches)
        moto = mock_aws(config={"core": {"mock_credentials": False}})
        moto.start()
        self._undo.append(moto.stop)
        # Everybody in a rehearsal is in its account, which need not be the one that moto assumes.
        patches.set(iam_models, "get_account_id_from", lambda access_key: core.account)
        core.scheduler.clock.start()
        self._undo.append(core.scheduler.clock.stop)
        self._make_repeatable()
        patches.set(time, "sleep", core.scheduler.sleep)
        directly = self._answering(moto_patches.call_directly(core.account, patches))
        sys.meta_path.insert(0, self._finder)
        self._undo.append(lambda: sys.meta_path.remove(self._finder))
        self._undo.append(moto_patches.install(core.scheduler))
        install_services(patches)
        served_limits.install(core.rates, patches)
        patches.set(BaseClient, "_make_api_call", self._api_call(within_limits(directly)))

    def settle(self) -> None:
        """Excludes all present objects from garbage collection.

        moto, botocore and a loaded assembly are some hundred thousand objects. Searching them for
        cycles after every 700 new ones, as Python does, would take most of the time.
        """
        _freeze_at_exit()
        gc.freeze()
        self._undo.append(gc.unfreeze)

    def remove(self) -> None:
        """Restores everything, in reverse order."""
        self.patches.undo()
        while self._undo:
            self._undo.pop()()

    def reseed(self, seed: int) -> None:
        """Lets all that is random come from this seed, from now on."""
        random.seed(seed)
        mock_random.seed(seed)
        self._generator = random.Random(seed)

    def _make_repeatable(self) -> None:
        """Lets ids, jitter and tokens come from the seed, in the thread that runs the rehearsal."""
        state = random.getstate()
        self._undo.append(lambda: random.setstate(state))
        self.reseed(self._seed)
        thread = threading.get_ident()
        original = os.urandom

        def urandom(size: int) -> bytes:
            if threading.get_ident() != thread:
                return original(size)
            return self._generator.randbytes(size)

        self.patches.set(os, "urandom", urandom)

    def _answering(self, moto: Callable[..., Any]) -> Callable[..., Any]:
        """Returns what performs an API call: moto, or a service of the rehearsal."""
        apis, watchers = self._core.apis, self._core.watchers

        def perform(client: Any, operation: str, parameters: dict[str, Any]) -> Any:
            answer: Callable[..., Any] = apis.get(client.meta.service_model.service_name, moto)
            for watcher in watchers:
                answer = partial(watcher, answer)
            return answer(client, operation, parameters)

        return perform

    def _api_call(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """Returns what stands for each API call of each client: it takes time and is recorded."""
        core = self._core
        scheduler = core.scheduler
        thread = threading.get_ident()

        def make_api_call(client: Any, operation: str, parameters: dict[str, Any]) -> Any:
            process = scheduler.current if threading.get_ident() == thread else None
            environment = process.environment if process else None
            if not isinstance(environment, ExecutionEnvironment):
                with nullcontext() if process else scheduler.guest():
                    if (principal := vars(client).get(PRINCIPAL)) is not None:
                        self._authorize(principal, client, operation, parameters)
                    return original(client, operation, parameters)
            takes_s = core.draw(core.latency.api_call_s)
            scheduler.sleep(takes_s + core.latency.call_cpu_s * environment.slowness)
            service = client.meta.service_model.service_name
            target = core.path_of(_resource(client, parameters))
            perform = partial(original, client, operation)
            call = Call(service, operation, parameters, perform, scheduler.sleep)
            error: str | None = None
            try:
                environment.see_true_time()
                self._authorize(environment.principal, client, operation, parameters)
                return core.faults.call(call, environment.function, target)
            except ClientError as failure:
                error = failure.response["Error"]["Code"]
                raise
            except BotoCoreError as failure:
                error = type(failure).__name__
                raise
            finally:
                environment.see_own_time()
                core.meter.add(
                    "call",
                    environment.function,
                    target,
                    service=service,
                    operation=operation,
                    error=error,
                )

        return make_api_call

    def _authorize(
        self, principal: Principal, client: Any, operation: str, parameters: dict[str, Any]
    ) -> None:
        model = client.meta.service_model
        if model.service_name == _CALLBACKS:
            parameters = {**parameters, "Endpoint": client.meta.endpoint_url}
        try:
            self._core.access.authorize_call(principal, model, operation, parameters)
        except Denied as denied:
            _refuse(client, operation, denied)


def _refuse(client: Any, operation: str, denied: Denied) -> NoReturn:
    """Raises the error with which a service answers a request that is not authorized."""
    model = client.meta.service_model
    codes = _KEY_DENIED if denied.of_key else _DENIED
    code = codes.get(model.service_name, "AccessDeniedException")
    refuse(client, operation, code, str(denied), _DENIED_STATUS.get(model.protocol, 403))


def _resource(client: Any, parameters: dict[str, Any]) -> str:
    """Returns the physical id or ARN of what a call is about, empty if it does not say."""
    service = client.meta.service_model.service_name
    if service == _CALLBACKS:
        host: str = client.meta.endpoint_url.partition("://")[2]
        return host.partition(".")[0]
    name = parameters.get(_RESOURCE_PARAMETERS.get(service, ""))
    if name is not None:
        return str(name)
    if "TransactItems" in parameters:
        for item in parameters["TransactItems"]:
            for operation in item.values():
                return str(operation.get("TableName", ""))
    if "RequestItems" in parameters:
        return str(next(iter(parameters["RequestItems"]), ""))
    if service == "kinesis":
        return str(parameters.get("StreamARN") or parameters.get("StreamName", ""))
    if service == "events" and parameters.get("Entries"):
        return str(parameters["Entries"][0].get("EventBusName", "default"))
    return ""
