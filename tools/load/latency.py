"""make latency: what an order waits for until it is confirmed, hop by hop, warm and cold.

The way is that of the measured orders. Waits are figures that others have published, with their
pages, in tools/load/latency.toml. Handlers take the time of docs/how-to/find-the-bottleneck.md.
"""

import argparse
import sys
from collections import deque
from collections.abc import Mapping
from datetime import date
from itertools import pairwise
from pathlib import Path
from random import Random
from statistics import fmean, median
from typing import NamedTuple

import msgspec

from cdk_rehearsal import Assembly
from stacks.synthesis import host_assembly
from tools.demo.observation import measuring_options
from tools.load.flows import ORDER, Flow, Stop
from tools.load.measuring import COMMAND, CONFIRMED, ERRORS, UNUSABLE, measure, read_flow
from tools.load.settings import Hop, hops_of
from tools.load.simulation import percentile

_FILE = Path(__file__).with_name("latency.toml")
_DRAWS = 4000
_PARTS = (50, 90, 99)


class Figure(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A published latency in milliseconds, by percentile."""

    says: str
    page: str
    measured: str
    read: date
    wait: str = ""
    """The leg that it stands for; without it, it is for comparison."""
    range: tuple[float, float] | None = None
    """The shortest and the longest, if no percentiles are published."""
    p10: float | None = None
    p50: float | None = None
    p90: float | None = None
    p99: float | None = None
    note: str = ""

    def draw(self, random: Random) -> float:
        """Returns a latency, with the published percentiles and straight lines between them."""
        if self.range is not None:
            return random.uniform(*self.range)
        points = [(0.0, self.p10), (0.1, self.p10), (0.5, self.p50), (0.9, self.p90)]
        known = [(x, y) for x, y in [*points, (0.99, self.p99), (1.0, self.p99)] if y is not None]
        part = random.random()
        for (x, y), (end, top) in pairwise(known):
            if part < end:
                return y + (top - y) * (part - x) / (end - x)
        return known[-1][1]


class Leg(NamedTuple):
    """A part of an order's way: a wait with its figure, or the time of a handler."""

    name: str
    figure: Figure | None
    milliseconds: float = 0.0
    """The mean time of a handler."""
    functions: float = 0.0
    """How many functions run in it, each of which may start cold."""
    spread: tuple[float, ...] = (1.0,)

    def draw(self, random: Random) -> float:
        """Returns how many milliseconds it takes, in a warm environment."""
        if self.figure is not None:
            return self.figure.draw(random)
        return self.milliseconds * random.choice(self.spread)


def figures() -> list[Figure]:
    """Returns all published figures."""
    content = msgspec.toml.decode(_FILE.read_bytes(), type=dict[str, list[Figure]])
    return content["figure"]


def way(flow: Flow) -> list[Stop]:
    """Returns the stops from an order to its confirmation: the way with the fewest."""
    ahead: deque[list[Stop]] = deque([[ORDER]])
    seen = {ORDER}
    while ahead:
        stops = ahead.popleft()
        for edge in flow.edges:
            if edge.source == stops[-1] and edge.target not in seen and edge.items > 0.5:
                if edge.target.what.startswith(CONFIRMED):
                    return stops[1:]
                seen.add(edge.target)
                ahead.append([*stops, edge.target])
    raise ValueError("no measured order was confirmed: measure again")


def legs(flow: Flow, hops: Mapping[str, Hop]) -> list[Leg]:
    """Returns what an order waits for, in order."""
    known = {figure.wait: figure for figure in figures() if figure.wait}
    found: list[Leg] = []
    for stop in way(flow):
        hop = hops[stop.function]
        waits = {"route": ["route"], "stream": ["table"], "queue": ["bus", "queue"]}[hop.kind]
        found += [Leg(f"{wait} in front of {hop.name}", known[wait]) for wait in waits]
        own = hop.base_s + hop.item_s - hop.within.seconds
        found.append(Leg(hop.name, None, 1000 * own, 1, hop.spread))
        if hop.within.invocations:
            found.append(Leg(f"workflow of {hop.name}", known["workflow"]))
            inner, number = 1000 * hop.within.seconds, hop.within.invocations
            name = f"functions of the workflow of {hop.name}"
            found.append(Leg(name, None, inner, number, hop.spread))
    return found


def lines(found: list[Leg], seed: int = 1) -> list[str]:
    """Returns the report for the terminal."""
    random = Random(seed)
    cold = next(figure for figure in figures() if figure.wait == "cold start")
    warm_ms: list[float] = []
    cold_ms: list[float] = []
    for _ in range(_DRAWS):
        warm = sum(leg.draw(random) for leg in found)
        starts = sum(round(leg.functions) for leg in found)
        warm_ms.append(warm)
        cold_ms.append(warm + sum(cold.draw(random) for _ in range(starts)))
    text = [f"{'p50':>8} {'p90':>8} {'p99':>8}  milliseconds"]
    text += [_row(leg.name, [leg.draw(random) for _ in range(_DRAWS)]) for leg in found]
    text += [_row("order to confirmation, warm", warm_ms)]
    text += [_row("order to confirmation, each function cold", cold_ms), ""]
    waits = [leg for leg in found if leg.figure]
    longest = max(waits, key=lambda leg: _mean(leg, random))
    total = sum(_mean(leg, random) for leg in waits)
    handler = max((leg for leg in found if not leg.figure), key=_usual)
    text += [
        f"The longest wait is the {longest.name}: {_mean(longest, random):.0f} of {total:.0f} ms "
        "of waiting, on average",
        f"The longest work is that of {handler.name}: {_usual(handler):.0f} ms, in the median",
        "",
        "Published figures in ms: p10, p50, p90, p99, or a range",
        *(_sourced(figure) for figure in figures()),
    ]
    return text


def _mean(leg: Leg, random: Random) -> float:
    return fmean(leg.draw(random) for _ in range(_DRAWS))


def _usual(leg: Leg) -> float:
    return leg.milliseconds * median(leg.spread)


def _row(name: str, times: list[float]) -> str:
    ordered = sorted(times)
    return " ".join(f"{percentile(ordered, part):8,.0f}" for part in _PARTS) + f"  {name}"


def _sourced(figure: Figure) -> str:
    numbers = (figure.p10, figure.p50, figure.p90, figure.p99)
    shown = ", ".join("-" if each is None else f"{each:g}" for each in numbers)
    if figure.range is not None:
        shown = " to ".join(f"{each:g}" for each in figure.range)
    return f"  {figure.says}: {shown}; measured {figure.measured}: {figure.page}"


def main() -> None:
    """Prints what an order waits for."""
    parser = argparse.ArgumentParser(
        prog="make latency",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    measuring_options(parser, COMMAND)
    options = parser.parse_args()
    try:
        directory = host_assembly(options.stage, bus=options.bus)
        flow = read_flow(options.measured) or measure(directory, seed=options.seed)
        found = legs(flow, hops_of(Assembly(directory), flow))
    except ERRORS as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(UNUSABLE)
    print(*lines(found, options.seed), sep="\n")


if __name__ == "__main__":
    main()
