"""Describes what a rehearsal supports: `python -m cdk_rehearsal.support > SUPPORT.md`."""

import ast
import inspect
import sys
import textwrap
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from types import FunctionType
from typing import Any

from cdk_rehearsal.kinds import STAND_IN_TYPES, WITHOUT_PART
from cdk_rehearsal.limits import TABLE
from cdk_rehearsal.policies import NOT_IN_ASSEMBLY
from cdk_rehearsal.resources import custom, events, s3
from cdk_rehearsal.resources.creators import CREATORS
from cdk_rehearsal.resources.inactive import properties_of
from cdk_rehearsal.resources.registry import Creator, mentioned
from cdk_rehearsal.services import (
    event_source_mappings,
    http_integrations,
    log_subscriptions,
    pipes,
    schedules,
    service_calls,
    sns,
    subscriber_targets,
)

_HEAD = """\
# What a rehearsal supports

Everything else is an error with its place when an assembly is loaded, never skipped in silence. \
This page is generated from the code: `python -m cdk_rehearsal.support > SUPPORT.md`.
"""

_NOT_ENFORCED = (
    "Rates of other calls of an account and of state transitions: the defaults are high, differ by "
    "region and rise by themselves.",
    "The spending on text messages, which AWS sets for each account.",
    "The input of a schedule of EventBridge Scheduler, code within a template, and the number of "
    "notifications of a bucket.",
    "Numbers of resources that no template reaches, such as queues, topics, tables and functions.",
    "Requests of other processes to S3 at the endpoint of `rehearse run`: sizes of keys and of "
    "metadata, and the number of objects to delete.",
)

_LIMITS = (
    "One account and one region.",
    "Handlers are in Python. A function in another language or in a container image needs a stub: "
    "the AWS SDK of its runtime is not in its asset, and its time would not be virtual.",
    "There are no HTTP proxies. The OpenAPI document of an API is read if it is in the template or "
    "an asset.",
    "A WebSocket API has clients in the rehearsal's own process: `rehearsal.connect(…)`. It has no "
    "metrics.",
    "Conditions on `aws:ResourceTag` read the tags in the template. Conditions on "
    + ", ".join(f"`{key}`" for key in sorted(NOT_IN_ASSEMBLY.values()))
    + " need their values.",
    "An API has one stage. Caches, access logs and client certificates have no effect.",
    "The signature of a request to a method of a REST API with AWS_IAM is not verified. Function "
    "URLs buffer answers.",
    "Networks, encryption and backups have no effect.",
    "All versions of a function run the code in the assembly.",
)


_QUOTAS = """\
A template, call or message over one of these limits fails as on AWS. If AWS has raised a limit of \
your account, give `Rehearsal(…, quotas={"events.rules": 600})` or `--quota events.rules=600`; a \
lower value is accepted for each of them. Rates that differ by region are those of `eu-central-1`.
"""


def matrix() -> str:
    """Returns the page."""
    parts = [_HEAD, "## Types and their properties\n", *_types(), ""]
    parts += ["## Integrations\n", *_integrations(), ""]
    parts += ["## Custom resources of the CDK library\n"]
    parts += [f"- `{name}`" for name in sorted(custom.TYPES)]
    parts += ["- `AwsCustomResource`, of any type\n"]
    parts += ["## Types of no effect\n", *_by_service(WITHOUT_PART), ""]
    parts += ["## Types that may idle\n"]
    parts += ["With `--stand-ins`, these load as well, and do nothing:\n", *_idle(), ""]
    parts += ["## Limits\n", *(f"- {limit}" for limit in _LIMITS), ""]
    parts += ["## Limits of AWS\n", _QUOTAS, *_limits(), ""]
    parts += ["Not enforced:\n", *(f"- {limit}" for limit in _NOT_ENFORCED)]
    return "\n".join(parts) + "\n"


def _limits() -> Iterator[str]:
    yield "| name | what is limited | most | on request | page, and when it was read |"
    yield "|---|---|---|---|---|"
    for name, limit in sorted(TABLE.items()):
        most = f"{limit.value:,}" + ("" if limit.unit == "items" else f" {limit.unit}")
        most += f" per {limit.per}" if limit.per else ""
        most += f", {limit.burst:,} at once" if limit.burst else ""
        most = f"none, if not in `quotas` ({most} in the sandbox)" if limit.given else most
        raised = f"{limit.ceiling:,}" if limit.ceiling else "more" if limit.adjustable else "-"
        page = f"[{limit.read}]({limit.page})"
        yield f"| `{name}` | {limit.says} | {most} | {raised} | {page} |"


def _types() -> Iterator[str]:
    yield "| type | performed | of no effect | refused |"
    yield "|---|---|---|---|"
    for type_, creator in sorted(CREATORS.items()):
        known = properties_of(type_)
        ignored = known & {*_ignored(creator)}
        performed = known & mentioned(creator) - ignored
        refused = known - performed - ignored
        yield f"| `{type_}` | {_listed(performed)} | {_listed(ignored)} | {_listed(refused)} |"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "-"


def _ignored(creator: Creator) -> Iterator[str]:
    """The names that a creator and its helpers hand to `ignore`."""
    module = vars(sys.modules[creator.__module__])
    seen: set[str] = set()
    waiting: list[Any] = [creator]
    while waiting:
        function = waiting.pop()
        if not isinstance(function, FunctionType) or function.__name__ in seen:
            continue
        if function.__module__ != creator.__module__:
            continue
        seen.add(function.__name__)
        waiting += [module.get(name) for name in function.__code__.co_names]
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
            match call.func:
                case ast.Attribute(value=ast.Name(id="properties"), attr="ignore"):
                    yield from _constants(call.args, module)


def _constants(nodes: Iterable[ast.AST], module: Mapping[str, Any]) -> Iterator[str]:
    for node in nodes:
        for inner in ast.walk(node):
            match inner:
                case ast.Constant(value=str(name)):
                    yield name
                case ast.Name(id=name) if isinstance(module.get(name), tuple):
                    yield from module[name]


def _integrations() -> Iterator[str]:
    yield "| from | to |"
    yield "|---|---|"
    rows: Mapping[str, Iterable[str]] = {
        "rule (pattern or schedule)": events.TARGET_SERVICES,
        "subscriber of a Custom Event Bus": subscriber_targets.TARGETS,
        "EventBridge Scheduler": schedules.ACTIONS,
        "event source mapping": event_source_mappings.SOURCES,
        "pipe: sources": pipes.SOURCES,
        "pipe: targets": pipes.TARGETS,
        "pipe: enrichments": pipes.ENRICHMENTS,
        "topic": sns.DELIVERING | sns.LEAVING,
        "bucket": {*(kind.removesuffix("Configurations") for kind in s3.DESTINATIONS), "events"},
        "log group": log_subscriptions.DESTINATIONS,
        "function: destinations": {"events", "lambda", "sns", "sqs"},
        "REST API": {*service_calls.SERVICES, "lambda", "mock"},
        "function URL": {"lambda"},
        "WebSocket API": {*service_calls.SERVICES, "lambda", "mock"},
        "HTTP API": {"lambda", *(each.service for each in http_integrations.SUBTYPES.values())},
    }
    for source, targets in rows.items():
        yield f"| {source} | {', '.join(sorted(targets, key=str.lower))} |"


def _by_service(types: Iterable[str]) -> Iterator[str]:
    found: dict[str, list[str]] = defaultdict(list)
    for type_ in sorted(types):
        service, _, name = type_.rpartition("::")
        found[service].append(name)
    for service, names in found.items():
        yield f"- `{service}`: {', '.join(names)}"


def _idle() -> Iterator[str]:
    found: dict[str, list[str]] = defaultdict(list)
    for type_, says in STAND_IN_TYPES.items():
        found[says].append(type_)
    for says, types in found.items():
        yield f"- {', '.join(f'`{type_}`' for type_ in sorted(types))}: {says}"
    yield "- custom resources: their functions are not called"


if __name__ == "__main__":
    sys.stdout.write(matrix())
