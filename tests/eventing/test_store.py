"""Stores: an aggregate is changed by one writer at a time, whichever release wrote it before."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Self

import pytest

from lambdas.eventing import aws
from lambdas.eventing.aggregate import Aggregate, Change
from lambdas.eventing.event import Moment
from lambdas.eventing.store import TRIES, NotStored, Store
from lambdas.eventing.transaction import AlreadyProcessed, Contention, Transaction
from tests.eventing.sample import CAUSE, SETTINGS, CoinCounted, CoinCountedLater
from tests.support.cloud import Cloud, Commits, Crash, Table, crash

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)


class State(StrEnum):
    OPEN = "open"
    SHUT = "shut"


class Purse(Aggregate, frozen=True, kw_only=True):
    """A purse that can be shut."""

    purse_id: str
    state: State = State.OPEN
    cents: int = 0
    coins: Mapping[str, int] = {}
    since: Moment | None = None

    @property
    def pending_since(self) -> datetime | None:
        return self.since

    @classmethod
    def begin(cls, purse_id: str = "p") -> Change[Self]:
        return Change(cls(purse_id=purse_id), (CoinCounted(purse=purse_id, note="begun"),))

    def add(self, cents: int, coin: str = "coin") -> Change[Self]:
        coins = {**self.coins, coin: cents}
        event = CoinCounted(purse=self.purse_id, note=str(self.cents + cents))
        return self.becomes(event, cents=self.cents + cents, coins=coins)

    def shut(self) -> Change[Self] | None:
        return self.becomes(state=State.SHUT) if self.state is State.OPEN else None


def a_store(*, whole: bool = False, formerly: tuple[str, ...] = ("state",)) -> Store[Purse]:
    return Store(
        Purse,
        "purse",
        lambda: SETTINGS,
        lambda purse_id: (f"PURSE#{purse_id}", "PURSE"),
        id_field="purse_id",
        whole=whole,
        formerly=formerly,
    )


@pytest.fixture(params=[False, True], ids=["updated", "whole"])
def purses(request: pytest.FixtureRequest, ledger: Table) -> Store[Purse]:
    return a_store(whole=request.param)


def notes(ledger: Table) -> list[str]:
    return sorted(event.note for event in ledger.events(CoinCounted))


def stored_by_an_earlier_release(ledger: Table, **fields: Any) -> None:
    """Writes an item as releases did that counted no revisions and stored no id."""
    item = {"pk": "PURSE#p", "sk": "PURSE", "kind": "purse", "state": "open", "cents": 3}
    ledger.put({**item, "coins": {}, **fields})


class TestChange:
    def test_a_new_aggregate_is_stored_with_its_event(
        self, ledger: Table, purses: Store[Purse]
    ) -> None:
        purse, changed = purses.change("p", Purse.shut, CAUSE, begin=Purse.begin)
        assert (purse, changed) == (Purse(purse_id="p", revision=1), True)
        assert purses.find("p") == purse
        assert notes(ledger) == ["begun"]

    def test_each_change_raises_the_revision_and_publishes_its_events(
        self, ledger: Table, purses: Store[Purse]
    ) -> None:
        purses.commit(None, Purse.begin(), CAUSE)
        for cents in (1, 2):
            purses.change("p", lambda found, cents=cents: found.add(cents), CAUSE)  # type: ignore[misc]
        assert ledger.one("purse")["revision"] == 3
        assert ledger.one("purse")["cents"] == 3
        assert notes(ledger) == ["1", "3", "begun"]
        assert {envelope.causationid for envelope in ledger.envelopes()} == {CAUSE.causation_id}

    def test_a_decision_to_change_nothing_writes_nothing(
        self, ledger: Table, purses: Store[Purse], commits: Commits
    ) -> None:
        purses.commit(None, Purse.begin(), CAUSE)
        shut, first = purses.change("p", Purse.shut, CAUSE)
        again, second = purses.change("p", Purse.shut, CAUSE)
        assert (first, second) == (True, False)
        assert again == shut
        assert commits.count == 2

    def test_an_aggregate_that_is_not_there_is_named(self, purses: Store[Purse]) -> None:
        with pytest.raises(NotStored, match="purse p has an event but is not in ledger"):
            purses.change("p", Purse.shut, CAUSE)
        with pytest.raises(LookupError):
            purses.require("p")
        assert purses.find("p") is None

    def test_many_are_read_at_once_and_missing_ones_are_left_out(
        self, purses: Store[Purse]
    ) -> None:
        ids = [f"purse-{number}" for number in range(120)]
        for id_ in ids[:-1]:
            assert purses.commit(None, Purse.begin(id_), CAUSE)
        assert {found.purse_id for found in purses.find_all(ids)} == {*ids[:-1]}
        assert purses.find_all([]) == []

    def test_one_that_is_created_right_after_the_look_is_not_taken_for_an_unchanged_one(
        self, purses: Store[Purse]
    ) -> None:
        def too_early() -> None:
            purses.commit(None, Purse.begin(), CAUSE)

        with pytest.raises(NotStored):
            purses.change("p", Purse.shut, CAUSE, load=too_early)
        assert purses.require("p").state is State.OPEN

    def test_what_a_decision_raises_passes_through(
        self, ledger: Table, purses: Store[Purse]
    ) -> None:
        purses.commit(None, Purse.begin(), CAUSE)
        before = ledger.items()

        def refuse(_: Purse) -> None:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            purses.change("p", refuse, CAUSE)
        assert ledger.items() == before

    def test_the_caller_may_load_it_in_its_own_way(self, purses: Store[Purse]) -> None:
        purses.commit(None, Purse.begin(), CAUSE)
        loads: list[Purse] = []

        def load() -> Purse:
            loads.append(purses.require("p"))
            return loads[-1]

        _, changed = purses.change("p", Purse.shut, CAUSE, load=load)
        assert changed
        assert len(loads) == 1

    def test_the_last_that_was_stored_spares_a_read(
        self, purses: Store[Purse], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        last = purses.commit(None, Purse.begin(), CAUSE)
        monkeypatch.setattr(aws.dynamodb(), "get_item", None)
        purse, changed = purses.change("p", Purse.shut, CAUSE, last=last)
        assert changed
        assert (purse.state, purse.revision) == (State.SHUT, 2)

    def test_the_last_that_is_outdated_is_read_again(
        self, ledger: Table, purses: Store[Purse]
    ) -> None:
        last = purses.commit(None, Purse.begin(), CAUSE)
        purses.change("p", lambda found: found.add(2, "a"), CAUSE)
        purse, _ = purses.change("p", lambda found: found.add(1, "b"), CAUSE, last=last)
        assert (purse.cents, purse.revision) == (3, 3)
        assert notes(ledger) == ["2", "3", "begun"]

    def test_the_cause_may_follow_from_the_aggregate(
        self, ledger: Table, purses: Store[Purse]
    ) -> None:
        purses.commit(None, Purse.begin(), CAUSE)

        def cause(purse: Purse) -> Any:
            return type(CAUSE)(correlation_id=f"of {purse.purse_id}", causation_id="x")

        purses.change("p", lambda found: found.add(1), cause)
        assert [e.correlationid for e in ledger.envelopes() if e.causationid == "x"] == ["of p"]

    def test_with_an_inbox_key_a_repetition_is_noticed(
        self, ledger: Table, purses: Store[Purse]
    ) -> None:
        purses.commit(None, Purse.begin(), CAUSE)
        purses.change("p", lambda found: found.add(1), CAUSE, inbox=("sample.count", "e-1"))
        with pytest.raises(AlreadyProcessed):
            purses.change("p", lambda found: found.add(1), CAUSE, inbox=("sample.count", "e-1"))
        assert ledger.one("purse")["cents"] == 1

    def test_an_event_goes_out_in_the_older_versions_too(
        self, ledger: Table, purses: Store[Purse], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(CoinCountedLater, "supersedes", CoinCounted)
        new, old = CoinCountedLater(purse="p"), CoinCounted(purse="p", note="old")
        purses.commit(None, Change(Purse(purse_id="p"), (new,), (old,)), CAUSE)
        assert len({envelope.id for envelope in ledger.envelopes()}) == 1
        assert ledger.published() == ["CoinCounted.v1", "CoinCountedLater.v2"]


class TestLostAnswers:
    """A change without events is a plain write, and so has no idempotency token.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html
    """

    @pytest.mark.parametrize("operation", ["PutItem", "UpdateItem"])
    def test_a_change_whose_answer_is_lost_happens_once(
        self, ledger: Table, purses: Store[Purse], cloud: Cloud, operation: str
    ) -> None:
        purses.commit(None, Purse.begin(), CAUSE)
        with cloud.losing_answers(operation):
            purse, _ = purses.change("p", Purse.shut, CAUSE)
        assert (purse.state, purse.revision) == (State.SHUT, 2)
        assert ledger.one("purse")["revision"] == 2

    def test_an_aggregate_that_begins_while_the_answer_is_lost_begins_once(
        self, ledger: Table, purses: Store[Purse], cloud: Cloud
    ) -> None:
        with cloud.losing_answers("PutItem"):
            purse, _ = purses.change(
                "p", lambda _: None, CAUSE, begin=lambda: Change(Purse(purse_id="p"))
            )
        assert purse.revision == ledger.one("purse")["revision"] == 1


class TestConflicts:
    def test_another_writer_in_between_is_seen_and_built_upon(
        self, ledger: Table, purses: Store[Purse], commits: Commits
    ) -> None:
        purses.commit(None, Purse.begin(), CAUSE)
        commits.before(1, lambda: purses.change("p", lambda found: found.add(2, "a"), CAUSE))
        purse, changed = purses.change("p", lambda found: found.add(1, "b"), CAUSE)
        assert changed
        assert (purse.cents, purse.coins, purse.revision) == (3, {"a": 2, "b": 1}, 3)
        assert notes(ledger) == ["2", "3", "begun"]

    def test_of_two_that_create_it_one_does_and_the_other_looks_again(
        self, ledger: Table, purses: Store[Purse], commits: Commits
    ) -> None:
        commits.before(1, lambda: purses.commit(None, Purse.begin(), CAUSE))
        _, changed = purses.change("p", lambda found: found.add(1), CAUSE, begin=Purse.begin)
        assert changed
        assert notes(ledger) == ["1", "begun"]

    def test_a_decision_may_be_another_one_after_a_conflict(
        self, purses: Store[Purse], commits: Commits
    ) -> None:
        purses.commit(None, Purse.begin(), CAUSE)
        commits.before(1, lambda: purses.change("p", Purse.shut, CAUSE))
        purse, changed = purses.change("p", Purse.shut, CAUSE)
        assert (purse.state, purse.revision, changed) == (State.SHUT, 2, False)

    def test_a_stale_commit_writes_nothing(
        self, ledger: Table, purses: Store[Purse], commits: Commits
    ) -> None:
        stale = purses.commit(None, Purse.begin(), CAUSE)
        assert stale
        purses.commit(stale, stale.add(1), CAUSE)
        before = ledger.items()
        assert purses.commit(stale, stale.add(5), CAUSE) is None
        assert ledger.items() == before

    def test_a_writer_that_always_loses_gives_up(
        self, purses: Store[Purse], commits: Commits
    ) -> None:
        purses.commit(None, Purse.begin(), CAUSE)
        for number in range(TRIES):
            commits.before(
                number + 1, lambda: purses.change("p", lambda found: found.add(1), CAUSE)
            )
        with pytest.raises(Contention, match="purse p kept changing in ledger: try again later"):
            purses.change("p", lambda found: found.add(100), CAUSE)
        assert purses.require("p").cents == TRIES

    def test_one_lost_race_less_than_that_does_no_harm(
        self, purses: Store[Purse], commits: Commits
    ) -> None:
        purses.commit(None, Purse.begin(), CAUSE)
        for number in range(TRIES - 1):
            commits.before(
                number + 1, lambda: purses.change("p", lambda found: found.add(1), CAUSE)
            )
        purses.change("p", lambda found: found.add(100), CAUSE)
        assert purses.require("p").cents == 100 + TRIES - 1

    @pytest.mark.parametrize("when", [Commits.before, Commits.after])
    def test_after_a_crash_it_is_changed_once(
        self,
        purses: Store[Purse],
        commits: Commits,
        when: Callable[[Commits, int, Callable[[], None]], None],
    ) -> None:
        purses.commit(None, Purse.begin(), CAUSE)
        when(commits, 1, crash)
        with pytest.raises(Crash):
            purses.change("p", Purse.shut, CAUSE)
        purses.change("p", Purse.shut, CAUSE)
        assert purses.require("p") == Purse(purse_id="p", state=State.SHUT, revision=2)


class TestEarlierReleases:
    """Tables hold items without a revision, and functions are replaced one after the other."""

    def test_their_items_are_read_and_counted_from_now_on(
        self, ledger: Table, purses: Store[Purse]
    ) -> None:
        stored_by_an_earlier_release(ledger)
        assert purses.require("p") == Purse(purse_id="p", cents=3, revision=0)
        purses.change("p", lambda found: found.add(1), CAUSE)
        purses.change("p", Purse.shut, CAUSE)
        stored = ledger.one("purse")
        assert (stored["revision"], stored["cents"], stored["state"]) == (2, 4, "shut")

    def test_of_two_first_changes_of_such_an_item_one_wins(
        self, ledger: Table, purses: Store[Purse], commits: Commits
    ) -> None:
        stored_by_an_earlier_release(ledger)
        commits.before(1, lambda: purses.change("p", lambda found: found.add(1), CAUSE))
        purses.change("p", lambda found: found.add(1), CAUSE)
        assert ledger.one("purse")["cents"] == 5
        assert notes(ledger) == ["4", "5"]

    @pytest.mark.parametrize("revision", [{}, {"revision": 7}], ids=["uncounted", "counted"])
    def test_a_function_of_theirs_that_still_runs_is_not_overwritten(
        self, ledger: Table, purses: Store[Purse], commits: Commits, revision: dict[str, int]
    ) -> None:
        """It changes the state, leaves the revision alone, and would not see this change."""
        stored_by_an_earlier_release(ledger, **revision)

        def old_function() -> None:
            stored_by_an_earlier_release(ledger, state="shut", **revision)

        commits.before(1, old_function)
        _, changed = purses.change("p", Purse.shut, CAUSE)
        assert not changed

    def test_an_item_that_is_gone_is_not_made_anew(
        self, ledger: Table, purses: Store[Purse]
    ) -> None:
        stored_by_an_earlier_release(ledger)
        found = a_store(formerly=()).require("p")
        change = found.add(1)
        for store in (a_store(formerly=()), a_store(formerly=(), whole=True)):
            assert store.commit(Purse(purse_id="q"), Purse(purse_id="q").add(1), CAUSE) is None
        assert ledger.one("purse")["cents"] == 3
        assert purses.commit(found, change, CAUSE)


class TestWhatIsWritten:
    def requests(self, cloud: Cloud) -> list[dict[str, Any]]:
        """The writes of aggregates that are added to transactions from now on."""
        seen: list[dict[str, Any]] = []
        add = Transaction._add

        def observed(self: Transaction, operation: Any, request: Any, *rest: Any) -> None:
            if rest[-1] == "purse":
                seen.append({"operation": operation, **request})
            add(self, operation, request, *rest)

        cloud.monkeypatch.setattr(Transaction, "_add", observed)
        return seen

    def test_an_update_names_what_differs_and_nothing_else(
        self, ledger: Table, cloud: Cloud
    ) -> None:
        store = a_store()
        stored_by_an_earlier_release(ledger, coins={"a": 1}, note="of a later release")
        seen = self.requests(cloud)
        store.change("p", lambda found: found.add(2, "b"), CAUSE)
        (request,) = seen
        assert request["operation"] == "Update"
        assert request["UpdateExpression"] == "SET #revision = :v0, #cents = :v1, #coins.#b = :v2"
        stored = ledger.one("purse")
        assert stored["coins"] == {"a": 1, "b": 2}
        assert stored["note"] == "of a later release"

    def test_the_rest_of_a_map_that_another_release_writes_at_the_same_time_stays(
        self, ledger: Table, commits: Commits
    ) -> None:
        stored_by_an_earlier_release(ledger, coins={"a": 1})
        commits.before(1, lambda: stored_by_an_earlier_release(ledger, coins={"a": 1, "c": 9}))
        a_store().change("p", lambda found: found.add(2, "b"), CAUSE)
        assert ledger.one("purse")["coins"] == {"a": 1, "b": 2, "c": 9}

    def test_a_whole_item_is_put_where_updates_are_not_permitted(
        self, ledger: Table, cloud: Cloud
    ) -> None:
        store = a_store(whole=True)
        store.commit(None, Purse.begin(), CAUSE)
        seen = self.requests(cloud)
        store.change("p", Purse.shut, CAUSE)
        assert [request["operation"] for request in seen] == ["Put"]
        assert ledger.one("purse")["state"] == "shut"

    def test_it_is_pending_for_as_long_as_it_waits(
        self, ledger: Table, purses: Store[Purse]
    ) -> None:
        purses.commit(None, Purse.begin(), CAUSE)
        purses.change("p", lambda found: found.becomes(since=NOON), CAUSE)
        assert {"pending_shard", "pending_since"} <= ledger.one("purse").keys()
        purses.change("p", lambda found: found.add(1), CAUSE)
        assert {"pending_shard", "pending_since"} <= ledger.one("purse").keys()
        purses.change("p", lambda found: found.becomes(since=None), CAUSE)
        assert not {"pending_shard", "pending_since"} & ledger.one("purse").keys()


class TestCommitAll:
    def purses(self, store: Store[Purse], count: int) -> list[Purse]:
        found = []
        for number in range(count):
            stored = store.commit(None, Purse.begin(f"p{number}"), CAUSE)
            assert stored
            found.append(stored)
        return found

    def test_all_changes_are_committed_together(
        self, ledger: Table, purses: Store[Purse], commits: Commits
    ) -> None:
        found = self.purses(purses, 3)
        commits.sizes.clear()
        stored = purses.commit_all([(purse, purse.add(2)) for purse in found], CAUSE)
        assert commits.sizes == [6]
        assert [purses.find(f"p{number}") for number in range(3)] == stored
        assert {purse.cents for purse in stored} == {2}
        assert notes(ledger) == ["2"] * 3 + ["begun"] * 3

    def test_an_aggregate_that_changed_stays_as_it_is_and_the_others_are_committed(
        self, ledger: Table, purses: Store[Purse]
    ) -> None:
        found = self.purses(purses, 5)
        purses.change("p3", Purse.shut, CAUSE)
        stored = purses.commit_all([(purse, purse.add(2)) for purse in found], CAUSE)
        assert [purse.purse_id for purse in stored] == ["p0", "p1", "p2", "p4"]
        assert purses.require("p3").cents == 0
        assert notes(ledger).count("2") == 4

    def test_more_changes_than_a_transaction_takes_are_committed_in_several(
        self, ledger: Table, purses: Store[Purse], commits: Commits
    ) -> None:
        found = self.purses(purses, 60)
        commits.sizes.clear()
        stored = purses.commit_all([(purse, purse.add(2)) for purse in found], CAUSE)
        assert len(stored) == 60
        assert commits.sizes == [60, 60]

    def test_no_changes_are_no_transaction(self, purses: Store[Purse], commits: Commits) -> None:
        assert purses.commit_all([], CAUSE) == []
        assert commits.count == 0


def test_writes_beside_a_change_are_committed_with_it_or_not_at_all(
    ledger: Table, purses: Store[Purse]
) -> None:
    def note(transaction: Transaction) -> None:
        transaction.create(("NOTE#1", "NOTE"), {"kind": "note"}, label="note")

    purses.change("p", Purse.shut, CAUSE, begin=Purse.begin, also=note)
    assert ledger.one("note")
    with pytest.raises(Contention):
        purses.change("p", lambda found: found.add(1), CAUSE, also=note)
    assert purses.require("p").cents == 0


def test_pending_aggregates_are_listed_the_oldest_first(cloud: Cloud) -> None:
    cloud.table(SETTINGS.table_name, pending_index=True)
    store = a_store()
    for purse_id, hour in (("late", 9), ("early", 8), ("done", 7)):
        purse = Purse(purse_id=purse_id, since=NOON.replace(hour=hour))
        store.commit(None, Change(purse), CAUSE)
    store.change("done", lambda found: found.becomes(since=None), CAUSE)
    assert [purse.purse_id for purse in store.pending(limit=9)] == ["early", "late"]
    assert [p.purse_id for p in store.pending(limit=9, before=NOON.replace(hour=9))] == ["early"]
    assert [purse.purse_id for purse in store.pending(limit=1)] == ["early"]
