"""The vault: personal data under a claim, in step with the events that stand for them."""

from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import pytest
import time_machine

from lambdas.eventing import vault
from lambdas.eventing.aggregate import Aggregate, Change
from lambdas.eventing.consumer import consumer
from lambdas.eventing.declaration import GET, PUT, Undeclared, Use
from lambdas.eventing.event import Delivery, Event
from lambdas.eventing.personal import Claim, Deposit, Discard, Keep, Personal, VaultChange
from lambdas.eventing.store import Store
from lambdas.eventing.transaction import ConditionFailed, Transaction
from tests.eventing.sample import CAUSE, SETTINGS, CoinAdded, CoinEvent, coin
from tests.support.cloud import Cloud, Table, Vault
from tests.support.messages import CONTEXT, batch, enveloped

CLAIM = Claim(person="ada", purpose="purse-1")
KEY = ("PURSE#purse-1", "PURSE")


class Nickname(Personal, frozen=True, kw_only=True):
    """A name."""

    text: str


class Secret(Personal, frozen=True, kw_only=True):
    """A secret."""

    text: str


ADA = Nickname(text="Ada")


class PurseLostV1(CoinEvent, frozen=True, kw_only=True):
    """A purse is lost: the version that carries its owner's nickname."""

    nickname: Nickname

    @property
    def carried(self) -> tuple[Personal, ...]:
        """The nickname."""
        return (self.nickname,)

    def upcast(self) -> "PurseLost":
        """Returns the same fact without the nickname."""
        return PurseLost(purse=self.purse)


class PurseLost(CoinEvent, frozen=True, kw_only=True):
    """A purse is lost."""

    version: ClassVar[int] = 2
    supersedes: ClassVar[type[Event] | None] = PurseLostV1

    @property
    def claim(self) -> Claim:
        """The key of the nickname."""
        return Claim(person="ada", purpose=self.purse)


class Purse(Aggregate, frozen=True, kw_only=True):
    """A purse."""

    purse: str

    @property
    def claim(self) -> Claim:
        """The key of the owner's data."""
        return Claim(person="ada", purpose=self.purse)


PURSES = Store(
    Purse, "purse", lambda: SETTINGS, lambda id_: (f"PURSE#{id_}", "PURSE"), id_field="purse"
)


@pytest.fixture
def safe(cloud: Cloud, ledger: Table) -> Vault:
    """The vault, beside the table of the sample context."""
    return cloud.vault()


def committed(*changes: VaultChange) -> None:
    transaction = Transaction(SETTINGS, CAUSE)
    for change in changes:
        transaction.change_vault(CLAIM, change)
    transaction.commit()


def later(**duration: float) -> time_machine.travel:
    return time_machine.travel(datetime.now(UTC) + timedelta(**duration))


class TestChanges:
    def test_deposited_data_can_be_redeemed_by_their_claim_and_kind(self, safe: Vault) -> None:
        committed(Deposit(ADA, 30))
        assert vault.find(Nickname, CLAIM) == ADA
        assert vault.find(Secret, CLAIM) is None
        for person, purpose in (("ada", "purse-2"), ("bob", "purse-1")):
            assert vault.find(Nickname, Claim(person=person, purpose=purpose)) is None

    def test_discarded_data_are_gone_and_the_others_stay(self, safe: Vault) -> None:
        committed(Deposit(ADA, 30), Deposit(Secret(text="s"), 30))
        committed(Discard(Secret))
        assert safe.kept() == {"Nickname": {"text": "Ada"}}

    def test_data_expire_at_the_end_of_their_period_even_before_they_are_deleted(
        self, safe: Vault
    ) -> None:
        committed(Deposit(ADA, 30))
        with later(days=29.9):
            assert vault.find(Nickname, CLAIM) == ADA
        with later(days=30.1):
            assert vault.find(Nickname, CLAIM) is None
        assert safe.kept()

    def test_the_period_can_be_changed(self, safe: Vault) -> None:
        committed(Deposit(ADA, 365))
        committed(Keep(Nickname, 60))
        assert safe.days(Nickname) == 60
        assert vault.find(Nickname, CLAIM) == ADA

    def test_a_new_period_for_erased_data_brings_nothing_back(self, safe: Vault) -> None:
        committed(Keep(Nickname, 60))
        assert vault.find(Nickname, CLAIM) is None
        assert safe.days(Nickname) == 60, "what is left of it expires"

    def test_data_are_deposited_in_the_transaction_of_their_aggregate_or_not_at_all(
        self, safe: Vault, ledger: Table
    ) -> None:
        new = Change(Purse(purse="purse-1"), vault=(Deposit(ADA, 30),))
        assert PURSES.commit(None, new, CAUSE)
        other = Change(Purse(purse="purse-1"), vault=(Deposit(Nickname(text="Eve"), 30),))
        assert PURSES.commit(None, other, CAUSE) is None
        assert vault.find(Nickname, CLAIM) == ADA

    def test_a_failed_condition_discards_nothing(self, safe: Vault) -> None:
        committed(Deposit(ADA, 30))
        transaction = Transaction(SETTINGS, CAUSE)
        transaction.put(KEY, {}, condition="attribute_exists(pk)", label="purse")
        transaction.change_vault(CLAIM, Discard(Nickname))
        with pytest.raises(ConditionFailed, match="purse"):
            transaction.commit()
        assert vault.find(Nickname, CLAIM) == ADA


class TestErasure:
    def test_all_data_of_a_kind_about_a_person_are_erased(self, safe: Vault) -> None:
        for number in range(30):
            safe.deposit(Claim(person="ada", purpose=f"purse-{number}"), ADA, Secret(text="s"))
        safe.deposit(Claim(person="ada-2", purpose="purse-1"), ADA)
        assert len(vault.purposes(Nickname, "ada")) == 30
        vault.erase(Nickname, "ada")
        assert vault.purposes(Nickname, "ada") == []
        left = {item["pk"] for item in safe.items()}
        assert left == {"Secret#ada", "Nickname#ada-2"}

    def test_erasing_again_changes_nothing(self, safe: Vault) -> None:
        safe.deposit(CLAIM, ADA)
        vault.erase(Nickname, "ada")
        vault.erase(Nickname, "ada")
        assert safe.items() == []


class TestEvents:
    def test_an_event_of_the_newest_version_is_redeemed_from_the_vault(self, safe: Vault) -> None:
        safe.deposit(CLAIM, ADA)
        assert vault.redeem(Nickname, received(PurseLost(purse="purse-1"))) == ADA

    def test_an_event_from_before_the_vault_carries_its_data(self, safe: Vault) -> None:
        delivery = received(PurseLostV1(purse="purse-1", nickname=ADA))
        assert delivery.event == PurseLost(purse="purse-1")
        assert vault.redeem(Nickname, delivery) == ADA
        assert vault.redeem(Secret, delivery) is None

    def test_erased_data_are_none(self, safe: Vault) -> None:
        assert vault.redeem(Nickname, received(PurseLost(purse="purse-1"))) is None

    def test_an_event_without_personal_data_has_no_claim(self, safe: Vault) -> None:
        with pytest.raises(NotImplementedError, match="CoinAdded stands for no personal data"):
            vault.redeem(Nickname, received(coin()))


def received(event: Event) -> Delivery[Any]:
    return enveloped(event).deliver_to("sample.lost", (PurseLost, CoinAdded))


def acting(effect: Any, *uses: Use) -> Any:
    @consumer(CoinAdded, uses=(GET, PUT, *uses))
    def handler(_: Delivery[CoinAdded]) -> None:
        effect()

    return handler


@pytest.mark.parametrize(
    ("effect", "declared", "remedy"),
    [
        (lambda: vault.find(Nickname, CLAIM), vault.redeems, "redeems"),
        (lambda: committed(Deposit(ADA, 1)), vault.deposits, "deposits"),
        (lambda: committed(Discard(Nickname)), vault.discards, "discards"),
        (lambda: committed(Keep(Nickname, 1)), vault.keeps, "keeps"),
        (lambda: vault.purposes(Nickname, "ada"), vault.lists, "lists"),
        (lambda: vault.erase(Nickname, "ada"), vault.erases, "discards"),
    ],
)
def test_a_handler_may_use_only_the_kinds_that_it_declares(
    safe: Vault, parking: Any, effect: Any, declared: Any, remedy: str
) -> None:
    message = batch(enveloped(coin()))
    assert acting(effect, *declared(Nickname))(message, CONTEXT) == {"batchItemFailures": []}
    said = rf"the vault's Nickname, .*vault\.{remedy}\(Nickname\)"
    for handler in (acting(effect), acting(effect, *declared(Secret))):
        with pytest.raises(Undeclared, match=said):
            handler(message, CONTEXT)


def test_a_declaration_separates_the_vault_from_the_contexts_table() -> None:
    handler = acting(lambda: None, *vault.redeems(Nickname))
    assert handler.uses == {GET, PUT}
    assert handler.in_vault == {Use("GetItem", kind=Nickname)}
