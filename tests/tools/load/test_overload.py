"""An overload neither makes the shop collapse nor lose anything. A weakened shop does."""

from __future__ import annotations

from collections.abc import Mapping
from math import isnan

import pytest
from msgspec.structs import replace

from cdk_rehearsal import Assembly, quotas_of
from stacks.environment import PROD, REQUESTS_PER_PAYMENT
from tests.tools.load.measured import CHECKOUT, PLACE, measured, part
from tools.load.__main__ import carried, loaded
from tools.load.measuring import CONFIRMED
from tools.load.patterns import Pattern, spike
from tools.load.settings import hops_of
from tools.load.simulation import Clients, Outcome, Slow, percentile, simulate

CONCURRENCY = 20
"""Checkouts at the same time in a sound shop. Here it does not follow the stage's settings, because
the sabotage depends on it."""
CAPTURE = "Payments/CapturePayment/Function"
STRIPE = "api.stripe.com"
SLOW = Slow(host=STRIPE, rate=16.0, slow_rate=2.0, start_s=300.0, end_s=600.0)
"""Three orders per second need ten requests per second."""
SEEDS = (1, 2, 3)


def burst(rate: float) -> Pattern:
    """Quiet time is long enough for a shop that starts empty to have its pollers."""
    return Pattern(name="spike", rate=rate, factor=10, start_s=60, end_s=120, until_s=450)


def test_a_tenfold_spike_is_worked_off_and_nothing_is_lost(
    templates: Mapping[str, Assembly],
) -> None:
    flow, hops = part(templates)
    quotas = quotas_of({})
    pattern = burst(0.25 * carried(flow, hops))
    found = loaded(flow, hops, pattern, quotas)
    counts = found.outcome.counts[CHECKOUT]
    assert max(found.outcome.backlog[CHECKOUT]) > 30 * pattern.rate
    assert found.holds
    assert (counts.lost, counts.dead) == (0, 0)
    assert counts.tries / counts.handled == pytest.approx(1.0, abs=0.01)
    before, after = found.outcome.latencies(30, 55), found.outcome.latencies(390, 430)
    assert percentile(after, 50) == pytest.approx(percentile(before, 50), rel=0.25)


def test_an_overload_that_does_not_end_loses_messages_after_days(
    templates: Mapping[str, Assembly],
) -> None:
    _, hops = part(templates)
    twice = 2 * hops[CHECKOUT].items_per_second()
    assert hops[CHECKOUT].days_until_loss(twice) == 8.0


def slowed(templates: Mapping[str, Assembly], seed: int, **sabotage: object) -> Outcome:
    """Orders come evenly for 40 minutes. In five of them, the payment provider is slow."""
    flow, hops = part(templates)
    sound = replace(hops[CHECKOUT], most=CONCURRENCY)
    return simulate(
        flow,
        {**hops, CHECKOUT: replace(sound, **sabotage)},
        (time for time in spike(3.0, 1.0).arrivals(seed) if time < 2400),
        until=2400,
        concurrency=1000,
        confirmed=CONFIRMED,
        slow=SLOW,
        seed=seed,
    )


def test_prod_asks_no_more_of_a_slow_provider_than_it_answers_within_a_timeout(
    templates: Mapping[str, Assembly],
) -> None:
    """Orders come as fast as Stripe carries them, until it answers 7 % of its requests."""
    flow = measured()
    found = simulate(
        flow,
        hops_of(templates["prod"], flow),
        spike(PROD.payments_per_second, 1.0).arrivals(1),
        until=900,
        concurrency=1000,
        confirmed=CONFIRMED,
        slow=Slow(
            host=STRIPE,
            rate=PROD.stripe_requests_per_second,
            slow_rate=0.07 * PROD.stripe_requests_per_second,
            start_s=300,
            end_s=900,
        ),
        seed=1,
    )
    for function in (CHECKOUT, CAPTURE):
        counts = found.counts[function]
        assert counts.handled > 500
        assert (counts.dead, counts.failed) == (0, 0)


def test_a_stage_counts_as_many_requests_for_an_order_as_were_measured() -> None:
    assert 0.95 * REQUESTS_PER_PAYMENT < measured().load.outside[STRIPE] < REQUESTS_PER_PAYMENT


def medians(found: Outcome) -> list[float]:
    """The latency before the provider is slow, while it is, and 15 minutes after it was."""
    return [
        percentile(found.latencies(*times), 50) for times in ((0, 290), (300, 600), (1500, 2300))
    ]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_slow_provider_delays_orders_only_while_it_is_slow(
    templates: Mapping[str, Assembly], seed: int
) -> None:
    found = slowed(templates, seed)
    before, meanwhile, after = medians(found)
    assert meanwhile > 60 * before
    assert after == pytest.approx(before, rel=0.25)
    assert found.recovered_s(CHECKOUT, start=300, end=600) is not None
    counts = found.counts[CHECKOUT]
    assert (counts.dead, counts.failed) == (0, 0)
    assert counts.tries < 1.01 * counts.handled


@pytest.mark.parametrize("seed", SEEDS)
def test_without_a_maximum_concurrency_the_shop_never_recovers_from_a_slow_provider(
    templates: Mapping[str, Assembly], seed: int
) -> None:
    """The provider works for handlers that have timed out, whose messages come again."""
    found = slowed(templates, seed, most=None)
    before, _, after = medians(found)
    assert before < 3
    assert isnan(after) or after > 20 * before
    counts = found.counts[CHECKOUT]
    assert counts.tries > 3 * counts.handled


@pytest.mark.parametrize("seed", SEEDS)
def test_with_a_visibility_shorter_than_the_handler_messages_in_flight_keep_it_slow(
    templates: Mapping[str, Assembly], seed: int
) -> None:
    """A message that is handled again keeps the provider busy, so that the next one is, too."""
    found = slowed(templates, seed, visibility_s=2.0)
    sound = slowed(templates, seed)
    assert medians(found)[-1] > 3 * medians(sound)[-1]
    counts = found.counts[CHECKOUT]
    assert counts.dead > 10
    assert counts.tries > 1.3 * counts.handled


def test_the_visibility_of_each_queue_is_longer_than_its_handler_may_take(
    templates: Mapping[str, Assembly],
) -> None:
    queues = [hop for hop in hops_of(templates["prod"], measured()).values() if hop.kind == "queue"]
    assert len(queues) > 10
    for hop in queues:
        assert hop.visibility_s >= 6 * hop.timeout_s, hop.name
        assert hop.most, hop.name


@pytest.mark.parametrize("seed", SEEDS)
def test_clients_that_retry_without_jitter_are_refused_in_waves(
    templates: Mapping[str, Assembly], seed: int
) -> None:
    flow, hops = part(templates, [PLACE])
    crowd = int(6.5 * hops[PLACE].burst)

    def refused(*, jitter: bool) -> int:
        found = simulate(
            flow,
            hops,
            iter([10.0] * crowd),
            until=120,
            concurrency=1000,
            confirmed=CONFIRMED,
            clients=Clients(jitter=jitter),
            seed=seed,
        )
        return found.counts[PLACE].refused

    assert refused(jitter=True) < 0.05 * crowd
    assert refused(jitter=False) > 0.15 * crowd
