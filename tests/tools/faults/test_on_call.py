"""Whoever is on call: leaves no message behind, however often they look."""

from cdk_rehearsal.forks import forked
from tools.faults.on_call import OnCall
from tools.faults.shop import Shop
from tools.faults.trouble import POISON


def test_who_looks_twice_within_a_minute_takes_all_of_it_both_times(open_shop: Shop) -> None:
    queue, *_ = open_shop.rehearsal.dead_letter_queues()

    def look() -> tuple[dict[str, int], int]:
        on_call = OnCall(open_shop)
        for more in (1, 12):  # More than can be received at a time.
            for _ in range(more):
                open_shop.rehearsal.queues.by_path(queue).send(POISON)
            on_call.bring_back()
        return open_shop.parked(), on_call.thrown_away

    (fork,) = forked([look], at_once=1)
    assert (fork.value, fork.error) == (({}, 13), None)
