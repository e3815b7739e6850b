"""What the payment provider's client adds: `python -m tools.bench.partner`.

The real client calls an HTTPS host on this machine. So the figures have the work of the client, and
no network: a call to Stripe takes three round trips more (TCP, TLS, request), because each call has
a connection of its own.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from lambdas.payments.stripe_provider import HOST
from stacks.constructs.packaging import PackagingError, Target, prepare
from tools.bench.local_host import answering, certificate
from tools.bench.measure import ENVIRONMENT, packaged

HANDLER = "lambdas.payments.authorize_payment"
_PROBE = Path(__file__).with_name("partner_probe.py")
_ANSWER = {
    "id": "pi_1",
    "object": "payment_intent",
    "status": "requires_capture",
    "created": 1_767_772_200,
    "metadata": {"order_id": "order-1"},
}
_STEPS = {
    "import": "import of the client",
    "trust": "certification authorities, once",
    "first_call": "first call",
    "calls": "each further call",
}

Cost = Mapping[str, float]


def probe(calls: int, *, answer: Mapping[str, Any] = _ANSWER) -> dict[str, Any]:
    """Returns what one fresh interpreter measured.

    Raises RuntimeError with the traceback if a call fails.
    """
    with TemporaryDirectory(prefix="orderflow-") as scratch:
        authority = certificate(Path(scratch), HOST)
        with answering(authority, json.dumps(answer).encode()) as port:
            command = [sys.executable, "-I", "-S", "-B", str(_PROBE)]
            command += [str(port), str(authority), str(calls)]
            command += map(str, packaged(HANDLER).paths)
            done = subprocess.run(
                command, env=ENVIRONMENT, capture_output=True, text=True, check=False
            )
    if done.returncode != 0:
        raise RuntimeError(f"the client cannot call the local host:\n{done.stderr}")
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def medians(samples: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Returns the median cost of each step, and the number of modules."""

    def middle(costs: Sequence[Cost]) -> dict[str, float]:
        return {name: median(cost[name] for cost in costs) for name in ("cpu_ms", "wall_ms")}

    def costs(step: str) -> list[Cost]:
        found = [sample[step] for sample in samples]
        return [cost for each in found for cost in each] if step == "calls" else found

    return {"modules": samples[0]["modules"], **{step: middle(costs(step)) for step in _STEPS}}


def table(figures: Mapping[str, Any]) -> Table:
    """Returns the figures as a table."""
    shown = Table(title=f"The client of {HOST} in {HANDLER}, medians", box=SIMPLE_HEAD)
    shown.add_column("step")
    for heading in ("CPU ms", "ms"):
        shown.add_column(heading, justify="right")
    for step, name in _STEPS.items():
        cost = figures[step]
        shown.add_row(name, f"{cost['cpu_ms']:.1f}", f"{cost['wall_ms']:.1f}")
    shown.caption = (
        f"The import adds {figures['modules']} modules. The host is on this machine: a call over "
        "the network takes three round trips more."
    )
    return shown


def main() -> None:
    """Measures what the payment provider's client adds to a cold start and to each call."""
    parser = argparse.ArgumentParser(prog="python -m tools.bench.partner", description=main.__doc__)
    parser.add_argument("--rounds", type=int, default=10, help="fresh interpreters (10)")
    parser.add_argument("--calls", type=int, default=20, help="further calls in each (20)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there too")
    options = parser.parse_args()
    try:
        prepare(Target.HOST)
    except PackagingError as error:
        sys.exit(f"error: {error}")
    # The first round brings the files into memory.
    samples = [probe(options.calls) for _ in range(options.rounds + 1)][1:]
    figures = medians(samples)
    Console().print(table(figures))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
