"""The limits of AWS that a rehearsal enforces: the table `limits.toml`, and its current values.

Code reads a limit as ``LIMITS["sqs.delay_s"]``. A rehearsal with ``quotas`` replaces values while
it runs. `topology.template_limits` checks templates, `services.call_limits` checks API calls.
"""

import re
import sys
from collections.abc import Mapping
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec

from cdk_rehearsal.errors import RehearsalError

Period = Literal["second", "10 seconds", "day"]
Unit = Literal[
    "attempts",
    "bytes",
    "characters",
    "days",
    "hours",
    "items",
    "MB",
    "milliseconds",
    "minutes",
    "seconds",
]

_COUNT = re.compile(r"(?P<type>\S+)(?: with (?P<present>\S+))?(?: per (?P<per>\S+))?")
_STEP = re.compile(r"\[\]|\{\}|[^.\[{]+")


class Count(NamedTuple):
    """The resources to count: those of a type, with a property, per value of another one."""

    type: str
    present: str | None
    per: str | None


class Limit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A row of the table.

    ``template`` names properties, as in ``AWS::SQS::Queue DelaySeconds``, and ``calls`` parameters
    of API operations, as in ``SendMessageBatch Entries[].DelaySeconds``: ``[]`` stands for each
    element of a list, ``{}`` for each value of an object. ``total`` adds up all that a call has.
    """

    says: str
    """What is limited."""
    value: int
    """The most that AWS accepts; of an adjustable limit, the default of an account."""
    unit: Unit
    page: str
    read: date
    """The day on which the page was read."""
    adjustable: bool = False
    """Whether AWS raises it on request."""
    ceiling: int | None = None
    """The most that AWS grants on request, if that is documented."""
    code: str | None = None
    """Its code in Service Quotas."""
    template: tuple[str, ...] = ()
    count: str | None = None
    calls: tuple[str, ...] = ()
    total: bool = False
    per: Period | None = None
    """The period of a rate: it is the number within such a period."""
    burst: int | None = None
    """The size of the bucket of tokens of a rate, if it is not the rate."""
    of: tuple[str, ...] = ()
    """The operations that have a rate together."""
    given: bool = False
    """Whether it applies only if ``quotas`` give a value, as AWS sets one for each account."""
    error: str = "ValidationException"
    """The code with which the service refuses a call."""
    message: str | None = None
    """The service's message, with ``{amount}``, ``{limit}`` and the parameter's ``{name}``."""

    @property
    def counted(self) -> Count | None:
        """The resources to count, if this limits their number."""
        found = _COUNT.fullmatch(self.count) if self.count else None
        return Count(**found.groupdict()) if found else None


def read_table(file: str) -> dict[str, Limit]:
    """Reads a table of limits beside this module; its names have their service in front."""
    content = Path(__file__).with_name(file).read_bytes()
    services = msgspec.toml.decode(content, type=dict[str, dict[str, Limit]])
    return {
        f"{service}.{name}": limit
        for service, limits in services.items()
        for name, limit in limits.items()
    }


TABLE: Mapping[str, Limit] = read_table("limits.toml")
"""All limits by name: the service as boto3 names it, and what is limited."""

LIMITS: dict[str, int] = {
    name: sys.maxsize if limit.given else limit.value for name, limit in TABLE.items()
}
"""The values that apply now, by the names of the limits."""


def check_quotas(quotas: Mapping[str, Any], table: Mapping[str, Limit] = TABLE) -> None:
    """Raises RehearsalError for an unknown limit, and for more than AWS ever grants."""
    for name, value in quotas.items():
        limit = table.get(name)
        if limit is None:
            service = name.partition(".")[0]
            near = [known for known in table if known.startswith(f"{service}.")]
            raise RehearsalError(
                f"quotas: there is no limit {name!r}: give one of {', '.join(near or table)}"
            )
        least = 1 if limit.per else 0
        if type(value) is not int or value < least:
            raise RehearsalError(f"quotas: {name} is {value!r}: give a whole number from {least}")
        most = limit.ceiling if limit.adjustable else limit.value
        if most is not None and value > most:
            raise RehearsalError(
                f"quotas: {name} is {value}, which AWS grants nobody: give at most {most} "
                f"({limit.page})"
            )


@cache
def _steps(path: str) -> list[str]:
    return _STEP.findall(path)


def select(value: Any, path: str) -> list[Any]:
    """Returns the values to which a path of the table leads."""
    found = [value]
    for step in _steps(path):
        if step == "[]":
            found = [item for each in found for item in (each if type(each) is list else [each])]
        elif step == "{}":
            found = [item for each in found if isinstance(each, Mapping) for item in each.values()]
        else:
            found = [each[step] for each in found if isinstance(each, Mapping) and step in each]
    return found
