"""The saga: whatever happens at the same time, an order ends up whole or holds nothing."""

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
    """Goes on with a process to its end; the names of the steps."""
    return list(process)


class TestOneRun:
    def test_an_order_that_can_be_supplied_and_paid_is_confirmed(
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
    def test_an_order_that_is_not_paid_is_rejected_and_holds_nothing(
        self, dev: Assembly, cloud: Cloud, token: str, reason: str
    ) -> None:
        saga = Saga(dev, cloud, token)
        through(saga.checkout())
        assert saga.orders.one("order")["reason"] == reason
        saga.assert_settled()

    def test_a_provider_that_fails_for_a_moment_is_asked_again(
        self, dev: Assembly, cloud: Cloud
    ) -> None:
        saga = Saga(dev, cloud, "tok_flaky_4")
        through(saga.checkout())
        assert saga.status == "confirmed"
        saga.assert_settled()

    def test_an_order_that_cannot_be_supplied_is_rejected_without_asking_for_money(
        self, dev: Assembly, cloud: Cloud
    ) -> None:
        saga = Saga(dev, cloud, units=0)
        assert "AuthorizePayment" not in through(saga.checkout())
        assert saga.orders.one("order")["reason"] == "out_of_stock"
        assert saga.book.items() == []
        saga.assert_settled()

    def test_an_order_that_was_cancelled_is_not_confirmed(
        self, dev: Assembly, cloud: Cloud
    ) -> None:
        saga = Saga(dev, cloud)
        through(saga.cancellation())
        assert "ConfirmOrder" not in through(saga.checkout())
        assert saga.status == "cancelled"
        saga.assert_settled()

    @pytest.mark.parametrize("stop", range(len(FORWARD)))
    def test_another_run_leaves_the_units_alone_of_an_order_that_was_cancelled_too_late(
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

    def test_an_order_that_has_expired_is_not_confirmed_by_a_checkout_that_comes_late(
        self, dev: Assembly, cloud: Cloud
    ) -> None:
        saga = Saga(dev, cloud)
        through(saga.expiry())
        steps = through(saga.checkout())
        assert "ConfirmOrder" not in steps
        assert steps[-1] == "ReleaseStock"
        assert saga.status == "expired"
        saga.assert_settled()

    def test_a_late_checkout_that_is_faster_than_the_news_holds_nothing_in_the_end(
        self, dev: Assembly, cloud: Cloud
    ) -> None:
        saga = Saga(dev, cloud)
        expiry = saga.expiry()
        assert list(islice(expiry, 2)) == ["SweepOrders", "OrderExpired.v1"]
        assert "ConfirmOrder" in through(saga.checkout())
        assert (saga.reserved, saga.held) == (0, 0)
        through(expiry)
        assert saga.status == "expired"
        saga.assert_settled()


@pytest.mark.parametrize("token", TOKENS)
@pytest.mark.parametrize("stop", range(1, 10))
def test_a_run_that_is_abandoned_half_way_is_finished_by_the_next(
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
def test_what_happens_while_a_run_stands_still_leaves_the_order_whole(
    dev: Assembly, token: str, units: int, other: Callable[[Saga], Iterator[str]]
) -> None:
    """The bus and queues deliver at least once: two runs of one checkout may meet."""
    for stop in range(1, 10):
        with cloud() as account:
            saga = Saga(dev, account, token, units=units)
            standing = saga.checkout()
            list(islice(standing, stop))
            if not units:
                through(saga.restock())
            through(other(saga))
            through(standing)
            saga.assert_settled()


@pytest.mark.usefixtures("region")
@examples(max_examples=10, phases=[Phase.generate])
@given(
    token=st.sampled_from(TOKENS),
    units=st.integers(0, 1),
    turns=st.lists(st.integers(0, 4), max_size=30),
)
def test_any_order_of_steps_leaves_the_order_whole(
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
