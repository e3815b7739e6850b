"""make load: rehearses an overload in virtual time: backlogs, their age, latency, and recovery.

It measures what an order asks for in a rehearsal of the demo's orders. Then it lets any number of
them flow through the settings of the templates and the quotas of AWS.
docs/explanation/how-it-bears-load.md says what is modelled.

Ends with 1 if messages are lost, go to a dead-letter queue, or still wait at the end although the
overload ended, and with 2 if nothing could run.
"""

import argparse
import json
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import inf, isfinite, nan
from pathlib import Path
from typing import Any

import msgspec

from cdk_rehearsal import Assembly, quotas_of
from stacks.synthesis import host_assembly
from tools import charts
from tools.demo import json_report
from tools.demo.observation import measuring_options, over_zero
from tools.load.flows import ORDER, Flow, Stop
from tools.load.measuring import COMMAND, CONFIRMED, ERRORS, UNUSABLE, measure, read_flow
from tools.load.patterns import PATTERNS, Pattern
from tools.load.settings import Hop, hops_of
from tools.load.simulation import Outcome, Slow, percentile, simulate

OVERLOADED = 1
"""The exit code if something is lost, dead or still waits."""

_SHARE = 0.25
"""Without --rate, so large a part of what the first hop carries comes before the overload."""
_PARTS = (50, 90, 99)
_SHOWN = 3
_FEW = 10


@dataclass(frozen=True, kw_only=True)
class Load:
    """A pattern with its outcome."""

    pattern: Pattern
    hops: Mapping[str, Hop]
    outcome: Outcome
    each: Mapping[str, float]
    """By function, the items for one order."""

    @property
    def busiest(self) -> list[str]:
        """The functions that ever have a backlog, the largest first."""
        most = {name: max(line) for name, line in self.outcome.backlog.items()}
        counts = self.outcome.counts
        return sorted(
            (
                name
                for name, n in most.items()
                if n > self._usual(name)
                or counts[name].lost + counts[name].dead + counts[name].refused
            ),
            key=lambda name: -most[name],
        )

    def _usual(self, name: str) -> float:
        """Returns what waits at a hop that keeps up: what comes while a batch fills."""
        hop = self.hops[name]
        gathered = 2 * (hop.window_s + hop.poll_s[1]) * self.each[name]
        return max(_FEW, gathered * self.pattern.rate * self.pattern.factor)

    def recovered_s(self, name: str) -> float | None:
        """Returns how long after the overload a backlog has gone; None if it has not."""
        pattern = self.pattern
        return self.outcome.recovered_s(name, start=pattern.start_s, end=pattern.end_s)

    @property
    def holds(self) -> bool:
        """Whether nothing is lost or dead, and nothing waits for ever after an overload."""
        counts = self.outcome.counts.values()
        ends = self.pattern.end_s < self.pattern.until_s
        return not any(each.lost or each.dead for each in counts) and not (
            ends and any(self.recovered_s(name) is None for name in self.busiest)
        )


def main() -> None:
    """Prints the tables, and exits with 1 if the stage does not survive the overload."""
    options = _parser().parse_args()
    try:
        inputs = (options.quotas, options.measured)
        json_report.require_writable(options.json, options.svg, inputs=inputs)
        quotas = quotas_of(tomllib.loads(options.quotas.read_text()) if options.quotas else {})
        directory = host_assembly(options.stage, bus=options.bus)
        flow = read_flow(options.measured) or measure(directory, seed=options.seed)
        hops = hops_of(Assembly(directory), flow, quotas)
        rate = options.rate or _SHARE * carried(flow, hops)
        pattern = PATTERNS[options.pattern](rate, options.factor)
        found = loaded(flow, hops, pattern, quotas, slow=_slow(options, hops, pattern))
    except (*ERRORS, json_report.UnwritableReport) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(UNUSABLE)
    print(*lines(found, options.stage), sep="\n")
    if options.svg:
        options.svg.write_text(drawn(found, options.stage), encoding="utf-8")
    if options.json:
        report = {**as_json(found), "flow": msgspec.to_builtins(flow)}
        options.json.write_text(json.dumps(report), encoding="utf-8")
    sys.exit(0 if found.holds else OVERLOADED)


def items(flow: Flow) -> dict[str, float]:
    """Returns how many items an order has at each hop, by function."""
    reached: dict[Stop, float] = {}
    ahead = [(ORDER, 1.0)]
    while ahead:
        stop, number = ahead.pop()
        for edge in flow.edges:
            if edge.source == stop:
                more = number * edge.items
                reached[edge.target] = reached.get(edge.target, 0.0) + more
                ahead.append((edge.target, more))
    found: dict[str, float] = {}
    for stop, number in reached.items():
        found[stop.function] = found.get(stop.function, 0.0) + number
    return found


def carried(flow: Flow, hops: Mapping[str, Hop]) -> float:
    """Returns the orders per second that all queues and streams carry."""
    each = items(flow)
    return min(
        hop.items_per_second() / each[name] for name, hop in hops.items() if hop.kind != "route"
    )


def loaded(
    flow: Flow,
    hops: Mapping[str, Hop],
    pattern: Pattern,
    quotas: Mapping[str, float],
    *,
    slow: Slow | None = None,
    seed: int = 1,
) -> Load:
    """Simulates a pattern."""
    outcome = simulate(
        flow,
        hops,
        pattern.arrivals(seed),
        until=pattern.until_s,
        concurrency=quotas["lambda.concurrent_executions"],
        confirmed=CONFIRMED,
        slow=slow,
        seed=seed,
    )
    return Load(pattern=pattern, hops=hops, outcome=outcome, each=items(flow))


def lines(found: Load, stage: str) -> list[str]:
    """Returns the report for the terminal."""
    pattern, outcome = found.pattern, found.outcome
    busiest = found.busiest
    text = [
        f"{_title(found, stage)}: {outcome.orders:,} orders",
        "",
        "      most   oldest  time to    tries   dead     lost  refused",
        "   waiting        s  recover  of each",
        *(_row(found, name) for name in busiest),
        f"{'none of the' if not busiest else 'the other'} {len(found.hops) - len(busiest)} hops "
        f"{'has' if not busiest else 'have no'} more waiting than one batch collects",
        "",
        "order to confirmation, s      p50      p90      p99   orders",
    ]
    for name, start, end in _phases(pattern):
        found_s = outcome.latencies(start, end)
        parts = "".join(f"{percentile(found_s, part):9.1f}" for part in _PARTS)
        text.append(f"{name:24}{parts}{len(found_s):9,}")
    endless = [*_endless(found)]
    text += ["", *endless]
    ends = pattern.end_s < pattern.until_s or not endless
    verdict = "survives it: nothing is lost" if ends else "has lost nothing yet"
    verdict = verdict if found.holds else "does not survive it"
    if refused := sum(each.refused for each in outcome.counts.values()):
        verdict += f", but clients give up {refused:,} requests"
    first = f"; the most waits at {found.hops[busiest[0]].name}" if busiest else ""
    return [*text, f"{stage} {verdict}{first}"]


def _title(found: Load, stage: str) -> str:
    pattern = found.pattern
    start, end = pattern.start_s / 60, pattern.end_s / 60
    more = f"{pattern.rate * pattern.factor:.3g}"
    if pattern.name == "day":
        return f"{stage}, a day of {pattern.rate:.3g} orders per second, {more} at its peak"
    return (
        f"{stage}, {pattern.name}: {pattern.rate:.3g} orders per second, "
        f"{more} from minute {start:.0f} to {end:.0f}"
    )


def _row(found: Load, name: str) -> str:
    outcome, counts = found.outcome, found.outcome.counts[name]
    recovered = found.recovered_s(name)
    shown = "never" if recovered is None else f"{recovered:,.0f} s"
    tries = counts.tries / counts.handled if counts.handled else nan
    return (
        f"{max(outcome.backlog[name]):10,} {max(outcome.age[name]):8,.0f} {shown:>8} {tries:8.2f} "
        f"{counts.dead:6,} {counts.lost:8,} {counts.refused:8,}  {found.hops[name].name}"
    )


def _phases(pattern: Pattern) -> Iterator[tuple[str, float, float]]:
    yield "before the overload", 0.0, pattern.start_s
    yield "during the overload", pattern.start_s, pattern.end_s
    if pattern.end_s < pattern.until_s:
        yield "in the time after it", pattern.end_s, 2 * pattern.end_s - pattern.start_s
    if (late := 2 * pattern.end_s - pattern.start_s) < pattern.until_s:
        yield "later", late, inf


def _endless(found: Load) -> Iterator[str]:
    """Yields when queues would lose messages, if the overload did not end."""
    rate = found.pattern.rate * found.pattern.factor
    for name, hop in found.hops.items():
        days = hop.days_until_loss(rate * found.each[name])
        if hop.kind != "route" and isfinite(days):
            yield (
                f"{hop.name} carries {hop.items_per_second() / found.each[name]:.3g} orders per "
                f"second: at {rate:.3g} without end, it loses the first message after "
                f"{days:.1f} days"
            )


def drawn(found: Load, stage: str) -> str:
    """Returns the chart: rates, backlogs and ages of the busiest hops, and latency."""
    outcome, pattern = found.outcome, found.pattern
    shown = [name for name in found.busiest if max(outcome.backlog[name]) > _FEW][:_SHOWN]
    named = {name: found.hops[name].name for name in shown}
    every = outcome.at[1]
    medians: dict[str, list[float]] = {"p50": [], "p90": []}
    for at in outcome.at:
        took = outcome.latencies(at, at + max(60.0, every))
        medians["p50"].append(percentile(took, 50))
        medians["p90"].append(percentile(took, 90))
    return charts.lines(
        _title(found, stage),
        outcome.at,
        {
            "orders per second": {"": [pattern.at(at) for at in outcome.at]},
            "waiting": {named[name]: outcome.backlog[name] for name in shown},
            "age of the oldest, s": {named[name]: outcome.age[name] for name in shown},
            "order to confirmation, s": medians,
        },
        range(int(pattern.start_s), int(pattern.end_s)),
    )


def as_json(found: Load) -> dict[str, Any]:
    """Returns everything as JSON data."""
    outcome = found.outcome
    return {
        "pattern": msgspec.to_builtins(found.pattern),
        "holds": found.holds,
        "orders": outcome.orders,
        "at_s": outcome.at,
        "hops": {
            name: {
                "backlog": outcome.backlog[name],
                "oldest_s": outcome.age[name],
                "recovered_s": found.recovered_s(name),
                **msgspec.to_builtins(outcome.counts[name]),
            }
            for name in found.hops
        },
        "confirmed_s": {
            name: {
                f"p{part}": percentile(outcome.latencies(start, end), part)
                for part in _PARTS
                if outcome.latencies(start, end)
            }
            for name, start, end in _phases(found.pattern)
        },
    }


def _slow(options: argparse.Namespace, hops: Mapping[str, Hop], pattern: Pattern) -> Slow | None:
    if options.slow is None:
        return None
    host, rate, slow_rate = options.slow
    known = sorted({each for hop in hops.values() for each in hop.within.requests})
    if host not in known:
        raise ValueError(f"no handler calls {host!r}: name one of {', '.join(known) or 'none'}")
    return Slow(
        host=host, rate=rate, slow_rate=slow_rate, start_s=pattern.start_s, end_s=pattern.end_s
    )


def _host(text: str) -> tuple[str, float, float]:
    """Reads HOST=NORMAL,SLOW."""
    host, _, rates = text.partition("=")
    first, _, second = rates.partition(",")
    try:
        return host, over_zero(first), over_zero(second)
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not HOST=NORMAL,SLOW: give requests per second over 0 ({error})"
        ) from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=COMMAND,
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    option: Callable[..., Any] = parser.add_argument
    measuring_options(parser, COMMAND)
    option("--pattern", choices=[*PATTERNS], default="spike", help="how orders come (spike)")
    option(
        "--rate",
        type=over_zero,
        metavar="N",
        help="orders per second before the overload (a quarter of what all hops carry)",
    )
    option("--factor", type=over_zero, default=10.0, help="how many times as many come (10)")
    option(
        "--slow",
        type=_host,
        metavar="HOST=NORMAL,SLOW",
        help="a partner that answers so many requests per second, and fewer in the overload",
    )
    option("--quotas", type=Path, metavar="FILE", help="the quotas of an account, in TOML")
    option("--json", type=Path, metavar="FILE", help="write everything to this file")
    option("--svg", type=Path, metavar="FILE", help="draw the chart into this file")
    return parser


if __name__ == "__main__":
    main()
