"""What the commands about load share: the flow of an order, measured now or read from a file."""

import json
from pathlib import Path

import msgspec

from cdk_rehearsal import RehearsalError
from stacks.constructs.packaging import PackagingError
from stacks.synthesis import SynthesisError
from tools.demo.observation import observed, sample_setup
from tools.load.flows import Flow, Flows

UNUSABLE = 2
"""The exit code if nothing could run."""

ERRORS = (PackagingError, RehearsalError, SynthesisError, ValueError, OSError)
"""What makes a command end with that code."""

CONFIRMED = "OrderConfirmed."
"""The start of the type of the event with which an order is confirmed."""

RATE = 2.0
"""Orders per second that are rehearsed: fewer than any hop carries, so that none is retried."""


def measure(assembly: Path, *, seed: int) -> Flow:
    """Rehearses the demo's orders, and returns what one of them sets in motion."""
    return observed(
        assembly,
        sample_setup(seed),
        rate=RATE,
        seed=seed,
        begin=lambda shop: Flows(shop, confirmed=CONFIRMED),
        end=Flows.flow,
    )


def read_flow(file: Path | None) -> Flow | None:
    """Returns the flow in a report of --json, which another run has measured."""
    if file is None:
        return None
    try:
        return msgspec.convert(json.loads(file.read_bytes())["flow"], Flow)
    except (ValueError, KeyError, TypeError) as error:
        raise RehearsalError(
            f"{file} is no report of make load ({error}): write one with --json"
        ) from error
