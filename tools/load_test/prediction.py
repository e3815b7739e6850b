"""What the templates and a rehearsal predict for a load, as `make capacity` and `make load` do."""

from dataclasses import dataclass
from pathlib import Path
from random import Random

from msgspec.structs import replace

from cdk_rehearsal import Assembly, capacity_of, quotas_of
from cdk_rehearsal import Hop as Limit
from tools.load.flows import Flow
from tools.load.latency import legs
from tools.load.measuring import CONFIRMED
from tools.load.settings import Hop, hops_of
from tools.load.simulation import percentile, simulate
from tools.load_test.bounds import Bounds
from tools.load_test.figures import Deepest, Figures

PLACE = "Orders/PlaceOrder"
"""The function behind the route to which orders are sent."""

_SENDERS = "Notifications/Send"
"""The beginning of the functions that the load does not reach: its customers want no messages."""
_SENDERS_QUOTAS = ("ses.", "sns.sms_")
_DRAWS = 4000
_AFTER_S = 120.0
"""How long the simulation goes on after the last order, at least."""


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """The predicted figures, the hop that limits the stage, and its hops with a queue."""

    figures: Figures
    bottleneck: Limit
    queues: tuple[str, ...]
    """The construct paths of all consumers that an order reaches."""


def predict(directory: Path, flow: Flow, bounds: Bounds, *, seed: int = 1) -> Prediction:
    """Predicts what a stage does with evenly spaced orders.

    Raises RehearsalError if the flow was measured with other templates.
    """
    assembly, quotas = Assembly(directory), quotas_of({})
    flow = _without_messages(flow)
    hops = hops_of(assembly, flow, quotas)
    outcome = simulate(
        flow,
        hops,
        (number / bounds.rate for number in range(bounds.orders)),
        until=2 * bounds.seconds + _AFTER_S,
        concurrency=quotas["lambda.concurrent_executions"],
        confirmed=CONFIRMED,
        seed=seed,
    )
    ends = sorted(b + t for b, t in zip(outcome.began, outcome.took, strict=True))
    took = outcome.latencies()
    queues = [name for name, hop in hops.items() if hop.kind == "queue"]
    deepest = max(queues, key=lambda name: max(outcome.backlog[name]))
    answers = _answers_ms(flow, hops, Random(seed))
    refused = refused_share(hops[PLACE], bounds)
    capacity = capacity_of(assembly, flow.load, quotas)
    return Prediction(
        figures=Figures(
            accepted_per_s=bounds.rate * (1 - refused),
            refused=round(bounds.orders * refused),
            failed=0,
            answer_ms=(percentile(answers, 50), percentile(answers, 95)),
            confirmed_per_s=per_second(ends),
            confirmed_s=(percentile(took, 50), percentile(took, 95)),
            deepest=Deepest(hops[deepest].name, max(outcome.backlog[deepest])),
            oldest_s=max(max(outcome.age[name]) for name in queues),
            dead_letters=sum(outcome.counts[name].dead for name in queues),
        ),
        bottleneck=next(hop for hop in capacity.hops if not hop.grows and _is_reached(hop)),
        queues=tuple(hops[name].name for name in queues),
    )


def refused_share(route: Hop, bounds: Bounds) -> float:
    """Returns the share of requests that a route refuses: its bucket is full at first.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-throttling.html
    """
    admitted = route.burst + route.rate * bounds.seconds
    return max(0.0, 1 - admitted / bounds.orders) if bounds.rate > route.rate else 0.0


def per_second(times: list[float]) -> float:
    """Returns the rate of sorted times in seconds; NaN for fewer than two.

    The first and the last twentieth are left out: a late one is no sign of a low rate.
    """
    middle = times[len(times) // 20 : len(times) - len(times) // 20]
    period = middle[-1] - middle[0] if middle else 0.0
    return (len(middle) - 1) / period if period else float("nan")


def _without_messages(flow: Flow) -> Flow:
    """Returns the flow of customers who want no messages, so that no quota of SES is used up."""
    edges = [edge for edge in flow.edges if not edge.target.function.startswith(_SENDERS)]
    return replace(flow, edges=edges)


def _is_reached(limit: Limit) -> bool:
    return not (limit.name.startswith(_SENDERS) or limit.limit.startswith(_SENDERS_QUOTAS))


def _answers_ms(flow: Flow, hops: dict[str, Hop], random: Random) -> list[float]:
    """Returns how long the API takes to answer, in sorted milliseconds: the way to its handler."""
    found = legs(flow, hops)
    way = found[: 1 + next(n for n, leg in enumerate(found) if leg.name == PLACE)]
    return sorted(sum(leg.draw(random) for leg in way) for _ in range(_DRAWS))
