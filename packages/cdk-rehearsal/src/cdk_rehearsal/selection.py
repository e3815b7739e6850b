"""Which application of a cloud assembly to use: the assembly itself, or one of its stages."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cdk_rehearsal.errors import RehearsalError


def select(directory: Path, stage: str | None = None) -> Path:
    """Returns the directory with the stacks of one application: `directory` or one within it.

    A stage is an application of its own, in an assembly nested in that of the app. Its name is its
    path in the construct tree; `.` selects the stacks outside all stages. Raises RehearsalError if
    there is no assembly, or if the choice is open.
    https://docs.aws.amazon.com/cdk/v2/guide/stages.html
    """
    found = dict(_applications(directory, ""))
    if not found:
        raise RehearsalError(f"{directory / 'manifest.json'} lists no stack: synthesize the app")
    names = ", ".join(found)
    if stage is not None:
        if stage not in found:
            raise RehearsalError(f"{directory} has no stage {stage!r}: choose one of {names}")
        return found[stage]
    if len(found) > 1:
        raise RehearsalError(f"{directory} has several applications: choose a stage: {names}")
    return next(iter(found.values()))


def environment(directory: Path) -> dict[str, str]:
    """Returns `account` and `region` of an application, each only if its stacks name one.

    Raises RehearsalError if they name several: a rehearsal runs in one account and region.
    """
    found: dict[str, set[str]] = {"account": set(), "region": set()}
    for artifact in _artifacts(directory, "aws:cloudformation:stack").values():
        account, region = artifact["environment"].removeprefix("aws://").split("/")
        found["account"].add(account)
        found["region"].add(region)
    named: dict[str, str] = {}
    for what, values in found.items():
        values -= {f"unknown-{what}"}
        if len(values) > 1:
            raise RehearsalError(
                f"the stacks in {directory} are for the {what}s {', '.join(sorted(values))}, and "
                f"a rehearsal has one {what}: synthesize the stacks of each {what} separately"
            )
        if values:
            named[what] = values.pop()
    return named


def _applications(directory: Path, name: str) -> Iterator[tuple[str, Path]]:
    if _artifacts(directory, "aws:cloudformation:stack"):
        yield name or ".", directory
    for id_, artifact in _artifacts(directory, "cdk:cloud-assembly").items():
        properties = artifact["properties"]
        # The display name is the path in the construct tree.
        name = properties.get("displayName", id_)
        yield from _applications(directory / properties["directoryName"], name)


def _artifacts(directory: Path, kind: str) -> dict[str, Any]:
    manifest = directory / "manifest.json"
    try:
        artifacts = json.loads(manifest.read_bytes()).get("artifacts", {})
        return {id_: each for id_, each in artifacts.items() if each["type"] == kind}
    except OSError:
        raise RehearsalError(
            f"{manifest} is missing: name a directory that `cdk synth` wrote, such as cdk.out"
        ) from None
    except (ValueError, LookupError, AttributeError) as error:
        raise RehearsalError(
            f"{manifest} is no manifest of a cloud assembly ({error}): synthesize it again"
        ) from error
