"""What the commands about load share: the flow of an order, measured now or read from a file."""

from pathlib import Path

from cdk_rehearsal import RehearsalError
from stacks.constructs.packaging import PackagingError
from stacks.synthesis import SynthesisError
from tools.demo.observation import QUIET_RATE, observed, read_measured, sample_setup
from tools.load.flows import Flow, Flows

COMMAND = "make load"
"""The command whose report has the flow."""

UNUSABLE = 2
"""The exit code if nothing could run."""

ERRORS = (PackagingError, RehearsalError, SynthesisError, ValueError, OSError)
"""What makes a command end with that code."""

CONFIRMED = "OrderConfirmed."
"""The start of the type of the event with which an order is confirmed."""


def measure(assembly: Path, *, seed: int) -> Flow:
    """Rehearses the demo's orders, and returns what one of them sets in motion."""
    return observed(
        assembly,
        sample_setup(seed),
        rate=QUIET_RATE,
        seed=seed,
        begin=lambda shop: Flows(shop, confirmed=CONFIRMED),
        end=Flows.flow,
    )


def read_flow(file: Path | None) -> Flow | None:
    """Returns the flow in a report of --json, which another run has measured."""
    return read_measured(file, Flow, name="flow", command=COMMAND)
