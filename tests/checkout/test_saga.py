"""The saga: under any concurrency, an order is confirmed completely or holds nothing."""

from collections.abc import Callable, Iterator, Mapping
from itertools import islice

import pytest
from hypothesis import Phase, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from cdk_rehearsal import Assembly
from tests.checkout.saga import Saga
from tests.support.cloud import Cloud, cloud

FORWARD = ["ReserveStock", "AuthorizePayment", "ConfirmOrder"]
TOKENS = ["tok_approve", "tok_decline", "tok_flaky_9"]
OTHERS: list[Callable[[Saga], Iterator[str]]] = [
    Saga.checkout,
    Saga.cancellation,
    Saga.late_cancellation,
    Saga.expiry,
]


@pytest.fixture(scope="module")
def dev(templates: Mapping[str, Assembly]) -> Assembly:
    return templates["dev"]


def through(process: Iterator[str]) -> list[str]:
    """Runs a process to its end; returns the names of the steps."""
    return list(process)


class TestOneRun:
    def test_an_order_with_stock_and_payment_is_confirmed(
        self, dev: Assembly, cloud: Cloud
    ) -> None:
        saga = Saga(dev, cloud)
        assert through(saga.checkout()) == FORWARD
        assert saga.status == "confirmed"
        saga.assert_settled()

    @pytest.mark.parametrize(
        ("token", "reason"),
        [
            ("tok_decline", "payment_declined"),
            ("tok_timeout", "payment_unavailable"),
            ("tok_flaky_5", "payment_unavailable"),
        ],
    )
    def test_an_order_without_payment_is_rejected_and_holds_nothing(
        self, dev: Assembly, cloud: Cloud, token: str, reason: str
    ) -> None:
        saga = Saga(dev, cloud, token)
        through(saga.checkout())
        assert saga.orders.one("order")["reason"] == reason
        saga.assert_settled()

    def test_a_transient_failure_of_the_provider_is_retried(
        self, dev: Assembly, cloud: Cloud
    ) -> None:
        saga = Saga(dev, cloud, "tok_flaky_4")
        through(saga.checkout())
        assert saga.status == "confirmed"
        saga.assert_settled()

    def test_an_order_without_stock_is_rejected_without_a_payment_request(
        self, dev: Assembly, cloud: Cloud
    ) -> None:
        saga = Saga(dev, cloud, units=0)
        assert "AuthorizePayment" not in through(saga.checkout())
        assert saga.orders.one("order")["reason"] == "out_of_stock"
        assert saga.provider_table.items() == []
        saga.assert_settled()

    def test_a_cancelled_order_is_not_confirmed(self, dev: Assembly, cloud: Cloud) -> None:
        saga = Saga(dev, cloud)
        through(saga.cancellation())
        assert "ConfirmOrder" not in through(saga.checkout())
        assert saga.status == "cancelled"
        saga.assert_settled()

    @pytest.mark.parametrize("stop", range(len(FORWARD)))
    def test_a_second_run_does_not_release_units_of_an_order_cancelled_too_late(
        self, dev: Assembly, cloud: Cloud, stop: int
    ) -> None:
        saga = Saga(dev, cloud)
        another = saga.checkout()
        list(islice(another, stop))
        through(saga.checkout())
        through(saga.late_cancellation())
        assert "ReleaseStock" not in through(another)
        assert saga.delivered
        saga.assert_settled()

    def test_an_expired_order_is_not_confirmed_by_a_late_checkout(
        self, dev: Assembly, cloud: Cloud
    ) -> None:
        saga = Saga(dev, cloud)
        through(saga.expiry())
        steps = through(saga.checkout())
        assert "ConfirmOrder" not in steps
        assert steps[-1] == "ReleaseStock"
        assert saga.status == "expired"
        saga.assert_settled()

    def test_a_late_checkout_that_overtakes_the_expiry_event_holds_nothing_in_the_end(
        self, dev: Assembly, cloud: Cloud
    ) -> None:
        saga = Saga(dev, cloud)
        checkout, expiry = saga.checkout(), saga.expiry()
        assert list(islice(checkout, 3)) == ["ReserveStock", "AuthorizePayment", "ConfirmOrder"]
        assert list(islice(expiry, 2)) == ["SweepOrders", "OrderExpired.v1"]
        through(checkout)
        assert (saga.reserved, saga.held) == (0, 0)
        through(expiry)
        assert saga.status == "expired"
        saga.assert_settled()


@pytest.mark.parametrize("token", TOKENS)
@pytest.mark.parametrize("stop", range(1, 10))
def test_an_abandoned_run_is_completed_by_the_next_run(
    dev: Assembly, cloud: Cloud, token: str, stop: int
) -> None:
    saga = Saga(dev, cloud, token)
    list(islice(saga.checkout(), stop))
    through(saga.checkout())
    saga.assert_settled()


@pytest.mark.usefixtures("region")
@pytest.mark.parametrize("other", OTHERS, ids=lambda other: other.__name__)
@pytest.mark.parametrize("units", [0, 1])
@pytest.mark.parametrize("token", TOKENS)
def test_another_process_during_a_paused_run_leaves_the_order_consistent(
    dev: Assembly, token: str, units: int, other: Callable[[Saga], Iterator[str]]
) -> None:
    """The bus and queues deliver at least once, so that two runs of one checkout can overlap."""
    for stop in range(1, 10):
        with cloud() as account:
            saga = Saga(dev, account, token, units=units)
            paused = saga.checkout()
            list(islice(paused, stop))
            if not units:
                through(saga.restock())
            through(other(saga))
            through(paused)
            saga.assert_settled()


@pytest.mark.usefixtures("region")
@examples(max_examples=10, phases=[Phase.generate])
@given(
    token=st.sampled_from(TOKENS),
    units=st.integers(0, 1),
    turns=st.lists(st.integers(0, 4), max_size=30),
)
def test_any_interleaving_of_steps_leaves_the_order_consistent(
    dev: Assembly, token: str, units: int, turns: list[int]
) -> None:
    with cloud() as account:
        saga = Saga(dev, account, token, units=units)
        processes = [
            saga.checkout(),
            saga.checkout(),
            saga.cancellation(),
            saga.expiry(),
            saga.restock(),
        ]
        for turn in turns:
            next(processes[turn], None)
        for process in processes[:2]:
            through(process)
        if saga.status in {"cancelled", "expired"}:
            for process in processes[2:4]:
                through(process)
        saga.assert_settled()
