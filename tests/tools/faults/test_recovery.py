"""Recovery leaves no message in a dead-letter queue."""

from cdk_rehearsal import forked
from tools.faults.injection import POISON
from tools.faults.recovery import Recovery
from tools.faults.shop import RehearsedShop


def test_two_recoveries_within_a_minute_empty_the_queue_both_times(
    open_shop: RehearsedShop,
) -> None:
    queue, *_ = open_shop.rehearsal.dead_letter_queues()

    def recover() -> tuple[dict[str, int], int]:
        recovery = Recovery(open_shop)
        for more in (1, 12):  # More than one call can receive.
            for _ in range(more):
                open_shop.rehearsal.queues.by_path(queue).send(POISON)
            recovery.redrive()
        return open_shop.parked(), recovery.discarded

    (fork,) = forked([recover], at_once=1)
    assert (fork.value, fork.error) == (({}, 13), None)
