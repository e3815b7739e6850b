"""Which parts of a change need two deployments, because old and new versions run side by side."""

from collections.abc import Iterator, Mapping

from cdk_rehearsal import Assembly, Resource
from cdk_rehearsal.topology import Comparison, filters
from stacks.schemas.json_schema import Schema
from tools.contracts.compatibility import breaking_changes

_FUNCTION = "AWS::Lambda::Function"


def two_deployments(
    was: Mapping[str, Schema],
    now: Mapping[str, Schema],
    before: Assembly,
    after: Assembly,
    found: Comparison,
) -> list[str]:
    """Returns what one deployment would break while it runs, each with the two steps.

    `was` and `now` are the schemas of events by name, and `found` is the comparison of the
    assemblies. Code is not read: `make upgrade` runs it.
    """
    return [
        *_events(was, now, after),
        *_settings(before, after),
        *(f"{each}: first deploy its successor beside it" for each in found.replacements),
        *(f"{each}: see its two steps above" for each in found.refusals),
    ]


def _events(was: Mapping[str, Schema], now: Mapping[str, Schema], after: Assembly) -> Iterator[str]:
    """Changes that a consumer cannot read, and new events that a consumer may miss."""
    for name in sorted(was.keys() & now.keys()):
        for change in breaking_changes(was[name], now[name]):
            yield (
                f"{name} {change}: first publish a new version beside it and let consumers take "
                "both, then stop publishing this one"
            )
    for name in sorted(now.keys() - was.keys()):
        if takers := sorted(_takers(after, name)):
            yield (
                f"{name} is new and has consumers: {', '.join(takers)} would miss what is "
                "published before they are deployed: first deploy them, then the publisher"
            )


def _takers(assembly: Assembly, name: str) -> set[str]:
    return {
        f"`{target.path.rpartition('/')[0]}`"
        for filter_ in filters(assembly)
        if any(name in pattern.get("detail-type", ()) for pattern in filter_.patterns)
        for target in filter_.targets
    }


def _settings(before: Assembly, after: Assembly) -> Iterator[str]:
    """Variables that change together with the code that reads them.

    Code and configuration are updated by two calls, so each may meet the other's former version.
    https://docs.aws.amazon.com/lambda/latest/api/API_UpdateFunctionCode.html
    https://docs.aws.amazon.com/lambda/latest/api/API_UpdateFunctionConfiguration.html
    """
    known = {each.path: each for each in before.all_of(_FUNCTION)}
    for function in after.all_of(_FUNCTION):
        former = known.get(function.path)
        if former is None or former.properties.get("Code") == function.properties.get("Code"):
            continue
        old, new = _variables(former), _variables(function)
        if added := sorted(new - old):
            yield (
                f"`{function.path}` gets the setting {', '.join(added)} together with new code: "
                "if the code requires it, first deploy the setting, then the code"
            )
        if gone := sorted(old - new):
            yield (
                f"`{function.path}` loses the setting {', '.join(gone)} together with new code: "
                "if the old code requires it, first deploy the code, then remove the setting"
            )


def _variables(function: Resource) -> set[str]:
    return {*function.properties.get("Environment", {}).get("Variables", {})}
