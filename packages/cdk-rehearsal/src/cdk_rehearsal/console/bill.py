"""The bill of a rehearsal so far, as the page shows it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from cdk_rehearsal.billing import MONTH_S
from cdk_rehearsal.bills import Charge, idle_bill, standing_charges
from cdk_rehearsal.latency import BILLED
from cdk_rehearsal.price_lists import prices
from cdk_rehearsal.rehearsal import Rehearsal

REGION = "us-east-1"
"""The region whose list prices count."""

_Key = Callable[[Charge], str]


class Bill:
    """Meters a rehearsal from now on. Sums are made only when somebody looks at them."""

    def __init__(self, rehearsal: Rehearsal) -> None:
        # It imports moto, which a rehearsal has to do first.
        from cdk_rehearsal.metering import Metering

        assembly = rehearsal.assembly
        self._since = rehearsal.clock.now()
        self._is_whole = not rehearsal.meter.records
        self._metering = Metering(rehearsal, code=BILLED)
        self._prices = prices(REGION)
        self._standing = standing_charges(assembly, self._prices)
        self._unpriced = idle_bill(assembly, self._prices).unpriced
        self._stacks = sorted((each.path for each in assembly.stacks), key=len, reverse=True)

    def so_far(self) -> dict[str, Any]:
        """Returns what everything has cost so far, by service and by context, the dearest first."""
        metered = self._metering.bill_so_far(self._prices)
        months = self._metering.seconds / MONTH_S
        used = [*metered.charges, *metered.polls]
        standing = [
            msgspec.structs.replace(each, units=each.units * months, usd=each.usd * months)
            for each in self._standing
        ]
        charges = [*used, *standing]
        return {
            "usd": _sum(charges),
            "used": _sum(used),
            "standing": _sum(standing),
            "since": self._since,
            "whole": self._is_whole,
            "seconds": self._metering.seconds,
            "region": REGION,
            "services": _groups(charges, _service, _kind),
            "contexts": _groups(charges, self._context, _service),
            "unpriced": metered.unpriced,
            "unpriced_resources": self._unpriced,
            "outside": metered.outside,
        }

    def _context(self, charge: Charge) -> str:
        """Returns the stack of what a charge is for."""
        within = (path for path in self._stacks if f"{charge.who}/".startswith(f"{path}/"))
        return next(within, charge.who)


def _service(charge: Charge) -> str:
    return charge.service


def _kind(charge: Charge) -> str:
    return charge.kind.removeprefix("AWS::")


def _groups(charges: Iterable[Charge], outer: _Key, inner: _Key) -> list[dict[str, Any]]:
    """Returns sums by a key, each with its parts by another one."""
    found: defaultdict[str, list[Charge]] = defaultdict(list)
    for each in charges:
        found[outer(each)].append(each)
    return [
        {
            "name": name,
            "usd": _sum(each),
            **({} if inner is outer else {"parts": _groups(each, inner, inner)}),
        }
        for name, each in sorted(found.items(), key=lambda pair: (-_sum(pair[1]), pair[0]))
    ]


def _sum(charges: Iterable[Charge]) -> float:
    return sum(each.usd for each in charges)
