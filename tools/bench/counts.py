"""What no machine changes: calls, records and write units of an order, and modules of a handler.

`python -m tools.bench.counts` compares them with `counts.json`; `--update` writes that file.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cdk_rehearsal import Assembly, Metering, Rehearsal, RehearsalError
from stacks.constructs.packaging import PackagingError
from stacks.synthesis import SynthesisError, host_assembly
from tools.bench.modules import loaded_modules
from tools.bench.order_kinds import KINDS
from tools.faults.shop import RehearsedShop

FILE = Path(__file__).with_name("counts.json")
"""The counts of the last change that was meant to change them."""

UPDATE = "python -m tools.bench.counts --update"
STAGE, SEED = "dev", 1
_UNITS = 20

Counts = Mapping[str, Mapping[str, Mapping[str, float]]]
"""Under `orders` numbers by kind of order and name, under `modules` numbers by handler."""


def counted(assembly: Path) -> Counts:
    """Rehearses an order of each kind, imports each handler, and returns the counts.

    The first order of a kind warms up the functions, and the second is counted.
    """
    with Rehearsal(assembly, seed=SEED) as rehearsal:
        shop = RehearsedShop(rehearsal)
        orders = {kind: _second(shop, kind) for kind in KINDS}
    loaded = loaded_modules(Assembly(assembly))
    modules = {name.removeprefix("lambdas."): each.outside for name, each in loaded.items()}
    return {"orders": orders, "modules": {"outside": dict(sorted(modules.items()))}}


def known() -> Counts:
    """Returns the counts in the file."""
    found: Counts = json.loads(FILE.read_text())
    return found


def differences(before: Counts, now: Counts) -> Iterator[str]:
    """Yields each count that differs, with its name and both values."""
    names = (
        (part, kind, name)
        for part in ("orders", "modules")
        for kind in {**before[part], **now[part]}
        for name in {**before[part].get(kind, {}), **now[part].get(kind, {})}
    )
    for part, kind, name in names:
        old, new = (each[part].get(kind, {}).get(name, 0) for each in (before, now))
        if old != new:
            yield f"{part}.{kind}.{name}: {new:g} instead of {old:g}"


def _second(shop: RehearsedShop, kind: str) -> dict[str, float]:
    happens = KINDS[kind]
    first, second = (f"{kind.upper()}-{number}" for number in (1, 2))
    shop.receive({first: _UNITS, second: _UNITS}, delivery=kind)
    happens(shop, first)
    records = shop.rehearsal.meter.records
    start, metering = len(records), Metering(shop.rehearsal)
    happens(shop, second)
    written = sum(n for use, n in metering.uses().items() if use.price == "write_unit")
    kinds = Counter(record.kind for record in records[start:])
    return {
        "records": sum(kinds.values()),
        **{f"{name} records": kinds[name] for name in sorted(kinds)},
        "write units": written,
    }


def main() -> None:
    """Compares the counts with those in the file, or updates the file."""
    parser = argparse.ArgumentParser(prog="python -m tools.bench.counts", description=main.__doc__)
    parser.add_argument("--update", action="store_true", help=f"write {FILE.name}")
    options = parser.parse_args()
    try:
        now: Any = counted(host_assembly(STAGE))
    except (PackagingError, RehearsalError, SynthesisError) as error:
        sys.exit(f"error: {error}")
    if options.update:
        FILE.write_text(json.dumps(now, indent=2) + "\n")
        return
    found = [*differences(known(), now)]
    print(*found, sep="\n", end="\n" if found else "")
    if found:
        sys.exit(f"error: {len(found)} counts changed: if they should, run `{UPDATE}`")


if __name__ == "__main__":
    main()
