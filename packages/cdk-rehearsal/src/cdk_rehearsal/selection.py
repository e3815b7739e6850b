"""Selects the application to use: a cloud assembly itself, or one of its stages."""

from pathlib import Path

from cdk_rehearsal.assembly import Assembly
from cdk_rehearsal.errors import RehearsalError


def select(directory: Path, stage: str | None = None) -> Path:
    """Returns the directory with the stacks of one application: `directory` or one within it.

    A stage is an application of its own, in an assembly nested in that of the app. Its name is its
    path in the construct tree; `.` selects the stacks outside all stages. Raises RehearsalError if
    there is no assembly, or if the choice is open.
    https://docs.aws.amazon.com/cdk/v2/guide/stages.html
    """
    found = Assembly(directory).applications
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
    stacks = Assembly(directory).stacks
    found: dict[str, str] = {}
    for what in ("account", "region"):
        values = sorted({getattr(stack, what) for stack in stacks} - {None})
        if len(values) > 1:
            raise RehearsalError(
                f"the stacks in {directory} are for the {what}s {', '.join(values)}, and "
                f"a rehearsal has one {what}: synthesize the stacks of each {what} separately"
            )
        if values:
            found[what] = values[0]
    return found
