"""What `make load` has measured in prod and written with --json, without the outcome."""

import json
from collections.abc import Collection, Mapping
from pathlib import Path

import msgspec
from msgspec.structs import replace

from cdk_rehearsal import Assembly
from tools.load.flows import Flow
from tools.load.settings import Hop, hops_of

FILE = Path(__file__).with_name("measured.json")
"""After a change of what handlers do, measure again: `make load ARGS="--json FILE"`."""

PLACE, RELAY, CHECKOUT = "Orders/PlaceOrder", "Orders/Orders/Relay", "Checkout/RunCheckout/Function"
WAY = (PLACE, RELAY, CHECKOUT)
"""The functions from an order to its confirmation."""


def measured() -> Flow:
    """Returns the whole flow."""
    return msgspec.convert(json.loads(FILE.read_bytes())["flow"], Flow)


def part(
    templates: Mapping[str, Assembly], functions: Collection[str] = WAY
) -> tuple[Flow, dict[str, Hop]]:
    """Returns the flow through some functions only, with their hops in prod."""
    flow = measured()
    edges = [edge for edge in flow.edges if edge.target.function in functions]
    flow = replace(flow, edges=edges)
    return flow, hops_of(templates["prod"], flow)
