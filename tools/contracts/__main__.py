"""Updates the frozen schemas and the TypeScript types in docs/events: part of `make generated`."""

import argparse
import sys

from stacks.schemas.events import PUBLISHED
from tools.contracts import frozen, typescript

TYPES = frozen.COPIES / "events.d.ts"


def main() -> int:
    """Writes what is out of date, unless that breaks somebody. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools.contracts", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, only say what is old")
    check = parser.parse_args().check
    current = frozen.contracts()
    found = frozen.review(current) if check else frozen.renew(current)
    for complaint in found.broken.values():
        print(complaint, file=sys.stderr)
    types = typescript.declarations(PUBLISHED.values())
    stale = [*found.stale]
    if not TYPES.is_file() or TYPES.read_text(encoding="utf-8") != types:
        stale.append(TYPES.name)
        if not check and not found.broken:
            TYPES.write_text(types, encoding="utf-8")
    for file in stale:
        print(f"{'out of date' if check else 'renewed'}: docs/events/{file}")
    return 1 if found.broken or (check and stale) else 0


if __name__ == "__main__":
    sys.exit(main())
