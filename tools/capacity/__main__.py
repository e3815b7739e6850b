"""make capacity: rehearses orders, and prints how many per second each hop carries, and why.

Handlers take the time of docs/how-to/find-the-bottleneck.md. Quotas are AWS's defaults in
eu-central-1; a TOML file with --quotas has those of an account, such as

    [lambda]
    concurrent_executions = 10000

Ends with 1 if --orders-per-second names a rate that a hop does not carry, once tables and streams
have grown, and with 2 if nothing could run.
"""

import argparse
import json
import sys
import tomllib
from pathlib import Path

import msgspec

from cdk_rehearsal import (
    QUOTAS,
    Assembly,
    Capacity,
    Hop,
    Load,
    Loads,
    RehearsalError,
    capacity_of,
    quotas_of,
)
from stacks.constructs.packaging import PackagingError
from stacks.environment import environment_named
from stacks.synthesis import SynthesisError, host_assembly
from tools import charts
from tools.demo import json_report
from tools.demo.csv_file import UnusableFile
from tools.demo.observation import (
    QUIET_RATE,
    measuring_options,
    observed,
    over_zero,
    read_measured,
    sample_setup,
)

_COMMAND = "make capacity"

SHORT, UNUSABLE = 1, 2
"""Exit codes: a hop does not carry the rate; nothing could run."""

PARCEL_DAYS = 2.0
"""How long a parcel is on its way, and its reminder exists. The demo's carrier takes minutes."""

_DAY_S = 86_400
_DRAWN = 16
_ERRORS = (PackagingError, RehearsalError, SynthesisError, UnusableFile, ValueError, OSError)

_EMAILS = "emails_per_second in stacks/environment.py"
_SMS = "sms_per_second in stacks/environment.py"
_STRIPE = "orders_per_second or stripe_requests_per_second in stacks/environment.py"
_SETTINGS = {
    ("SendEmail/", "ScalingConfig.MaximumConcurrency"): _EMAILS,
    ("SendSms/", "ScalingConfig.MaximumConcurrency"): _SMS,
    ("", "ses.sends_per_second"): _EMAILS,
    ("", "sns.sms_per_second"): _SMS,
    ("RunCheckout/", "ScalingConfig.MaximumConcurrency"): _STRIPE,
    ("CapturePayment/", "ScalingConfig.MaximumConcurrency"): _STRIPE,
    ("", "ScalingConfig.MaximumConcurrency"): "orders_per_second in stacks/environment.py",
    ("/events", "ThrottlingRateLimit"): "per_order of the callback in its stack",
    ("", "ThrottlingRateLimit"): "orders_per_second in stacks/environment.py",
    ("", "WarmThroughput"): "WarmThroughput of the table, or wait",
    ("", "kinesis.new_stream_shards"): "the shards of the stream, or wait",
}
"""The settings of this application, by a part of the hop's name and the property they set."""


def main() -> None:
    """Prints the table, and exits with 1 if it does not carry the wanted rate."""
    options = _parser().parse_args()
    try:
        inputs = (options.quotas, options.measured)
        json_report.require_writable(options.json, options.svg, inputs=inputs)
        given = tomllib.loads(options.quotas.read_text()) if options.quotas else {}
        quotas = quotas_of({**_stated(options.stage), **given})
        assembly = host_assembly(options.stage, bus=options.bus)
        load = _read(options.measured) or measure(assembly, seed=options.seed)
        found = capacity_of(Assembly(assembly), load, quotas)
    except (*_ERRORS, json_report.UnwritableReport) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(UNUSABLE)
    wanted = options.orders_per_second
    print(*lines(found, load, wanted), sep="\n")
    if options.svg:
        options.svg.write_text(drawn(found, options.stage), encoding="utf-8")
    if options.json:
        report = {**found.as_json(), "load": msgspec.to_builtins(load)}
        options.json.write_text(json.dumps(report, indent=2))
    sys.exit(SHORT if any(not hop.grows for hop in found.short_of(wanted)) else 0)


def measure(assembly: Path, *, seed: int) -> Load:
    """Rehearses the demo's orders, and returns what one of them asks for.

    Not counted is what happens before the first customer comes: supplies, prices and preferences.
    """
    load = observed(
        assembly,
        sample_setup(seed),
        rate=QUIET_RATE,
        seed=seed,
        begin=Loads,
        end=Loads.load,
    )
    on_their_way_s = load.schedules * PARCEL_DAYS * _DAY_S
    return msgspec.structs.replace(load, schedule_s=load.schedule_s + on_their_way_s)


def lines(found: Capacity, load: Load, wanted: float) -> list[str]:
    """Returns the report for the terminal; without a wanted rate, the whole table."""
    shown = found.short_of(wanted) if wanted else found.hops
    rows = [
        f"{hop.orders_per_second:12,.1f}{'+' if hop.grows else ' '} {_name(hop)}: {hop.why}; "
        f"{_remedy(hop)}"
        for hop in shown
    ]
    title = f"do not carry {wanted:g} orders per second" if wanted else "carry, the lowest first"
    first = found.bottleneck
    more = [f"{each * max(wanted, 1):12,.3g}  {name}" for name, each in found.unlimited.items()]
    return [
        f"Orders per second that hops {title} (+: at first, AWS raises it as traffic grows)",
        *(rows or ["        none"]),
        "",
        f"Calls per second, at {max(wanted, 1):g} orders per second, to which AWS states no limit "
        "or one of your account",
        *more,
        "",
        f"measured: {load.orders} orders, which came at {QUIET_RATE:g} per second",
        f"first bottleneck: {_name(first)}, at "
        f"{first.orders_per_second:,.1f} orders per second: {_remedy(first)}",
    ]


def drawn(found: Capacity, stage: str) -> str:
    """Returns a chart of the hops that carry least; those that AWS lets grow are left out."""
    lowest = [hop for hop in found.hops if not hop.grows][:_DRAWN]
    rates = {f"{_name(hop)} ({hop.remedy})": hop.orders_per_second for hop in lowest}
    return charts.bars(f"{stage}: orders per second that a hop carries", rates, decades=3)


def _name(hop: Hop) -> str:
    return hop.name.removesuffix("/Function")


def _remedy(hop: Hop) -> str:
    if hop.remedy == "design":
        return f"a design limit ({hop.limit})"
    settings = [
        setting
        for (part, limit), setting in _SETTINGS.items()
        if part in hop.name and limit == hop.limit
    ]
    if hop.remedy == "quota":
        code = QUOTAS[hop.limit].code
        quota = f"the quota {hop.limit}{f' ({code})' if code else ''}"
        return f"raise {', then '.join([quota, *settings])}"
    return f"raise {settings[0] if settings else hop.limit}"


def _stated(stage: str) -> dict[str, int]:
    """Returns the quotas of the account that the stage states: its senders keep them."""
    environment = environment_named(stage)
    return {
        "ses.sends_per_second": environment.emails_per_second,
        "sns.sms_per_second": environment.sms_per_second,
    }


def _read(file: Path | None) -> Load | None:
    """Returns the load in a report of --json, which another run has measured."""
    return read_measured(file, Load, name="load", command=_COMMAND)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=_COMMAND,
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    measuring_options(parser, _COMMAND)
    parser.add_argument(
        "--orders-per-second",
        type=over_zero,
        default=0.0,
        metavar="N",
        help="list only the hops that do not carry so many",
    )
    parser.add_argument(
        "--quotas", type=Path, metavar="FILE", help="the quotas of an account, in TOML"
    )
    parser.add_argument("--svg", type=Path, metavar="FILE", help="draw a chart into this file")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything to this file")
    return parser


if __name__ == "__main__":
    main()
