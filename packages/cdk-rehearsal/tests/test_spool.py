"""Tests of the spool: what is in memory, what is read back, and what forks see."""

import os
import pickle

import pytest

from cdk_rehearsal.forks import fork, forked
from cdk_rehearsal.meter import Meter
from cdk_rehearsal.spool import Spool, Spooled

KEPT, MANY = 100, 5_000


@pytest.fixture
def numbers() -> Spooled[int]:
    """The numbers from 0 to 4,999, most of them in the file."""
    numbers: Spooled[int] = Spooled(Spool(), KEPT)
    for number in range(MANY):
        numbers.append(number)
    return numbers


def test_a_spooled_sequence_reads_as_a_list_does(numbers: Spooled[int]) -> None:
    same = list(range(MANY))
    assert numbers.in_memory < MANY / 2
    assert len(numbers) == MANY
    assert [*numbers] == same
    assert numbers == same
    assert numbers != same[:-1]
    assert numbers != [*same[:-1], 0]
    for index in (0, 255, 256, 4_999, -1, -MANY):
        assert numbers[index] == same[index]
    for part in (slice(3), slice(1_000, 2_100), slice(4_990, None), slice(None, None, 7)):
        assert numbers[part] == same[part]
    assert numbers[::-1] == same[::-1]
    for index in (MANY, -MANY - 1):
        with pytest.raises(IndexError):
            numbers[index]


def test_only_the_end_in_memory_can_be_removed(numbers: Spooled[int]) -> None:
    del numbers[MANY - 60 :]
    numbers.append(-1)
    assert numbers == [*range(MANY - 60), -1]
    for wrong in (slice(0, None), slice(MANY - 80, MANY - 70), slice(MANY - 80, None, 2)):
        with pytest.raises(ValueError, match="the end that is in memory"):
            del numbers[wrong]


def test_entries_that_are_added_during_an_iteration_are_yielded_once(
    numbers: Spooled[int],
) -> None:
    seen: list[int] = []
    for number in numbers.since(MANY - 10):
        seen.append(number)
        if len(numbers) < 2 * MANY:
            for _ in range(MANY // 5):
                numbers.append(len(numbers))
    assert seen == [*range(MANY - 10, 2 * MANY)]


def test_memory_does_not_grow_with_what_is_finished() -> None:
    log: Spooled[str] = Spooled(Spool(), KEPT)
    most = 0
    for number in range(20 * MANY):
        log.append(f"text {number}")
        most = max(most, log.in_memory)
    assert most < KEPT + 300


def test_a_fork_and_its_parent_write_to_files_of_their_own(numbers: Spooled[int]) -> None:
    def add(own: int) -> list[int]:
        for _ in range(MANY):
            numbers.append(own)
        return [*numbers]

    def all_with(own: int) -> list[int]:
        return [*range(MANY), *[own] * MANY]

    reading, writing = os.pipe()
    pid = fork()
    if not pid:
        os.read(reading, 1)
        os._exit(0 if add(-1) == all_with(-1) else 1)
    assert add(-2) == all_with(-2)
    # The fork writes now, and nothing of it is where the parent has written meanwhile.
    os.write(writing, b"x")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert [*numbers] == all_with(-2)


def test_a_fork_of_a_fork_reads_the_files_of_both(numbers: Spooled[int]) -> None:
    def inner() -> int:
        numbers.append(1)
        return sum(numbers)

    def outer() -> int | None:
        for _ in range(MANY):
            numbers.append(2)
        (one,) = forked([inner], at_once=1)
        return one.value

    (one,) = forked([outer], at_once=1)
    assert one.value == sum(range(MANY)) + 2 * MANY + 1


def test_files_are_closed_with_the_spool() -> None:
    spool = Spool()
    spool.write([1])
    descriptor = spool._files[0].fileno()
    del spool
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


def test_what_cannot_be_stored_is_refused() -> None:
    with pytest.raises((pickle.PicklingError, AttributeError), match="lambda"):
        Spool().write([lambda: None])


def test_records_of_a_kind_are_found_in_the_file_and_in_memory() -> None:
    meter = Meter(lambda: 0.0)
    meter.records.kept = KEPT
    for number in range(MANY):
        meter.add("call" if number % 5 else "request", "a", str(number), number=number)
    assert meter.records.in_memory < MANY / 2
    assert [each.detail["number"] for each in meter.of("request")] == [*range(0, MANY, 5)]
    assert len(meter.of("call")) == MANY * 4 / 5
    (one,) = meter.of("request", target="10")
    assert one == meter.records[10]
    assert meter.of("fault") == []
