"""An erasure: requested by the customer or by staff, refused or completed, and proven."""

import json

import pytest

from lambdas.privacy.events import CustomerErased, Erased, ErasureRefused, ErasureRequested
from tests.privacy.context import RESULTS, Privacy
from tests.support.cloud import Commits, Crash, crash


class TestRequest:
    def test_a_customer_requests_the_erasure_of_their_data(self, privacy: Privacy) -> None:
        answer = privacy.request()
        assert answer.status == 202
        assert answer.headers["location"] == "/erasure"
        assert (answer.json["state"], answer.json["ended_at"]) == ("requested", None)
        (event,) = privacy.events(ErasureRequested)
        assert event.customer_id == "customer-1"
        assert privacy.table.one("erasure")["requested_by"] == "customer-1"

    def test_a_repeated_request_gets_the_same_answer(self, privacy: Privacy) -> None:
        assert privacy.request().json == privacy.request().json
        assert len(privacy.events(ErasureRequested)) == 1

    def test_staff_request_it_on_behalf_of_a_customer(self, privacy: Privacy) -> None:
        answer = privacy.request_for("customer-2")
        assert (answer.status, answer.json["customer_id"]) == (202, "customer-2")
        assert privacy.table.one("erasure")["requested_by"] == "staff-1"
        assert privacy.get("customer-2").json == privacy.get_for("customer-2").json

    def test_customers_see_their_own_erasure_only(self, privacy: Privacy) -> None:
        privacy.request("customer-1")
        answer = privacy.get("customer-2")
        assert (answer.status, answer.json["code"]) == (404, "no_erasure")

    @pytest.mark.parametrize("customer", ["a b", "x" * 129, "Ä", "a/b"])
    def test_the_path_has_to_name_an_account(self, privacy: Privacy, customer: str) -> None:
        for answer in (privacy.request_for(customer), privacy.get_for(customer)):
            assert (answer.status, answer.json["code"]) == (404, "unknown_customer")
        assert privacy.table.items() == []

    @pytest.mark.parametrize("when", ["before", "after"])
    def test_a_request_whose_function_dies_can_be_repeated(
        self, privacy: Privacy, commits: Commits, when: str
    ) -> None:
        getattr(commits, when)(1, crash)
        with pytest.raises(Crash):
            privacy.request()
        assert privacy.request().status == 202
        assert len(privacy.events(ErasureRequested)) == 1


class TestWorkflow:
    def test_an_event_that_is_delivered_twice_starts_one_execution(self, privacy: Privacy) -> None:
        privacy.request()
        assert privacy.start() == privacy.start() == []
        (name,) = privacy.service.executions
        assert name == privacy.table.one("erasure")["erasure_id"]

    def test_its_input_has_no_personal_data(self, privacy: Privacy) -> None:
        customer = privacy.sign_up("ada@example.com")
        privacy.request(customer)
        privacy.start()
        (state,) = privacy.service.executions.values()
        assert set(json.loads(state)["detail"]["data"]) == {"customer_id", "erasure_id"}
        assert "ada@example.com" not in state


class TestAccount:
    def test_the_account_is_deleted_and_those_of_others_stay(self, privacy: Privacy) -> None:
        ada, bob = privacy.sign_up("ada@example.com"), privacy.sign_up("bob@example.com")
        assert privacy.delete_account(ada) == {"context": "privacy", "kinds": ("Account",)}
        assert privacy.accounts() == [bob]

    def test_deleting_it_again_changes_nothing(self, privacy: Privacy) -> None:
        ada = privacy.sign_up()
        assert privacy.delete_account(ada) == privacy.delete_account(ada)


class TestRefusal:
    def test_it_is_refused_with_the_reason(self, privacy: Privacy) -> None:
        privacy.request()
        privacy.refuse()
        privacy.refuse()
        view = privacy.get().json
        assert (view["state"], view["reason"]) == ("refused", "orders_open")
        assert view["ended_at"]
        (event,) = privacy.table.events(ErasureRefused)
        assert event.reason == "orders_open"

    def test_it_can_be_requested_again(self, privacy: Privacy) -> None:
        privacy.request()
        first = privacy.event()
        privacy.refuse()
        answer = privacy.request().json
        assert (answer["state"], answer["reason"], answer["ended_at"]) == ("requested", None, None)
        assert len({event.erasure_id for event in privacy.events(ErasureRequested)}) == 2
        privacy.refuse(first)
        privacy.complete(first)
        assert privacy.get().json["state"] == "requested", "the first request has ended"


class TestProof:
    ERASED = (
        Erased(context="privacy", kinds=("Account",)),
        Erased(context="orders", kinds=("Address", "PaymentMethod")),
    )

    def test_it_is_stored_and_published(self, privacy: Privacy) -> None:
        privacy.request()
        privacy.complete()
        view = privacy.get().json
        assert view["state"] == "completed"
        assert view["erased"] == [RESULTS["DeleteAccount"], RESULTS["EraseOrders"]]
        (event,) = privacy.table.events(CustomerErased)
        assert event.erased == self.ERASED

    def test_completing_it_again_changes_nothing(self, privacy: Privacy) -> None:
        privacy.request()
        privacy.complete()
        before = privacy.table.items()
        privacy.complete()
        privacy.refuse()
        assert privacy.request().json["state"] == "completed"
        assert privacy.table.items() == before
