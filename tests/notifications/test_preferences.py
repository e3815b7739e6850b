"""Preferences: one set for each customer, replaced as a whole and validated first."""

from typing import Any

import pytest

from lambdas.notifications.domain import OCCASIONS
from tests.notifications.context import ALL_ON, MASTER_SECRET, Notifications


def nothing() -> dict[str, None]:
    return {"email": None, "sms": None, "webhook": None}


def test_a_customer_without_preferences_has_no_channel(notifications: Notifications) -> None:
    answer = notifications.get()
    assert answer.status == 200
    assert answer.json == nothing()


def test_stored_preferences_are_returned_unchanged(notifications: Notifications) -> None:
    preferences = {
        "email": {"address": "ada@example.com", "occasions": ["OrderShipped", "OrderDelivered"]},
        "sms": {"phone": "+4930123456", "occasions": None},
        "webhook": {"url": "https://hooks.example.com/orders", "occasions": []},
    }
    put = notifications.put(preferences)
    got = notifications.get()
    assert put.status == got.status == 200
    assert put.json == got.json
    secret = got.json["webhook"].pop("signing_secret")
    assert got.json == preferences
    assert len(secret) == 64


def test_new_preferences_replace_all_old_ones(notifications: Notifications) -> None:
    notifications.put(ALL_ON)
    notifications.put({"sms": {"phone": "+4930123457"}})
    expected = {**nothing(), "sms": {"phone": "+4930123457", "occasions": None}}
    assert notifications.get().json == expected


def test_an_empty_body_deletes_every_address(notifications: Notifications) -> None:
    notifications.put(ALL_ON)
    assert notifications.put({}).status == 200
    stored = str(notifications.table.items())
    assert not any(part in stored for part in ("ada@example.com", "4930123456", "hooks.example"))


def test_customers_see_and_change_only_their_own_preferences(notifications: Notifications) -> None:
    notifications.put(ALL_ON, caller="customer-1")
    notifications.put({}, caller="customer-2")
    assert notifications.get("customer-2").json == nothing()
    assert notifications.get("customer-1").json["email"]["address"] == "ada@example.com"


def test_each_webhook_has_its_own_secret(notifications: Notifications) -> None:
    secrets = {
        notifications.put(ALL_ON, caller=caller).json["webhook"]["signing_secret"]
        for caller in ("customer-1", "customer-2")
    }
    assert len(secrets) == 2
    assert MASTER_SECRET not in secrets


def test_the_response_can_be_sent_back_unchanged(notifications: Notifications) -> None:
    got = notifications.put(ALL_ON).json
    assert notifications.put(got).json == got
    assert got["webhook"]["signing_secret"] not in str(notifications.table.items())


def email(**changes: Any) -> dict[str, Any]:
    return {"email": {"address": "ada@example.com", **changes}}


def webhook(url: str) -> dict[str, Any]:
    return {"webhook": {"url": url}}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ("{", "(body)"),
        ([], "(body)"),
        ({"telegram": {}}, "(body)"),
        ({"email": {}}, "email"),
        (email(address="ada"), "email.address"),
        (email(address="ada@localhost"), "email.address"),
        (email(address="ada@example.com\n"), "email.address"),
        (email(address="ada@example.com\r\nBcc: eve@example.com"), "email.address"),
        (email(address="ada@example.com,eve@example.com"), "email.address"),
        (email(address="Ada <ada@example.com>"), "email.address"),
        (email(address=f"{'a' * 65}@example.com"), "email.address"),
        (email(address=f"a@{'b' * 60}.{'c' * 60}.{'d' * 60}.{'e' * 60}.{'f' * 60}.com"), "address"),
        (email(name="Ada"), "email"),
        (email(occasions=["OrderPaid"]), "email"),
        (email(occasions=["OrderShipped"] * 100), "email.occasions"),
        ({"sms": {"phone": "0049301234"}}, "sms.phone"),
        ({"sms": {"phone": "+49 30 123456"}}, "sms.phone"),
        ({"sms": {"phone": "+0930123456"}}, "sms.phone"),
        ({"sms": {"phone": "+1234567890123456"}}, "sms.phone"),
        ({"sms": {"phone": "+4930123456\n"}}, "sms.phone"),
        ({"sms": {"phone": "+٤٩٣٠١٢٣٤٥٦"}}, "sms.phone"),
        (webhook("http://hooks.example.com/"), "webhook"),
        (webhook("https://hooks.example.com:8443/"), "webhook"),
        (webhook("https://ada:secret@hooks.example.com/"), "webhook"),
        (webhook("https://hooks.example.com\\@10.0.0.1/"), "webhook"),
        (webhook("https://localhost/"), "webhook"),
        (webhook("https://shop.localhost/"), "webhook"),
        (webhook("https://127.0.0.1/"), "webhook"),
        (webhook("https://93.184.216.34/"), "webhook"),
        (webhook("https://127.1/"), "webhook"),
        (webhook("https://0x7f.0x1/"), "webhook"),
        (webhook("https://2130706433/"), "webhook"),
        (webhook("https://[::1]/"), "webhook"),
        (webhook("https://[::ffff:10.0.0.1]/"), "webhook"),
        (webhook("https://hooks.example.com./"), "webhook"),
        (webhook("https:///orders"), "webhook"),
        (webhook("https://hooks.example.com:port/"), "webhook"),
        (webhook("https://hooks.example.com/a b"), "webhook"),
        (webhook("https://hooks.example.com/\r\nHost: eve"), "webhook"),
        (webhook("https://bücher.example.com/"), "webhook"),
        (webhook("https://hooks.example.com/" + "a" * 2048), "webhook"),
        (webhook("hooks.example.com"), "webhook"),
        (webhook(""), "webhook"),
    ],
)
def test_an_invalid_preference_is_rejected_with_its_field_and_changes_nothing(
    notifications: Notifications, body: Any, field: str
) -> None:
    notifications.put(ALL_ON)
    before = notifications.vault.items()
    answer = notifications.put(body)
    assert answer.status == 400
    assert field in answer.json["errors"][0]["field"]
    assert notifications.vault.items() == before


@pytest.mark.parametrize(
    ("preferences", "field"),
    [
        ({"email": {"address": "ada\r\n@example.com"}}, "email.address"),
        ({"email": {"address": "ada@example.com\r"}}, "email.address"),
        ({"sms": {"phone": "+4930123456\r"}}, "sms.phone"),
        ({"webhook": {"url": "https://hooks.example.com/\r"}}, "webhook.url"),
    ],
)
def test_a_character_that_could_break_a_header_is_named(
    notifications: Notifications, preferences: dict[str, Any], field: str
) -> None:
    answer = notifications.put(preferences)
    assert answer.status == 400
    assert answer.json["errors"] == [
        {"field": field, "reason": "contains U+000D (carriage return)"}
    ]


@pytest.mark.parametrize(
    "host", ["[::1]", "[abc]", "[::1]x.example", "x[::1]", "x.example:port", "x.example:99999"]
)
def test_an_invalid_host_is_rejected_with_the_same_message_on_every_python_version(
    notifications: Notifications, host: str
) -> None:
    detail = notifications.put(webhook(f"https://{host}/")).json["detail"]
    assert "must name a host by its full name in the DNS, not by an address, and no port" in detail


def test_a_rejection_lists_the_known_notification_types(notifications: Notifications) -> None:
    answer = notifications.put(email(occasions=["OrderPaid"]))
    assert "occasions: expected some of " in answer.json["detail"]
    assert all(occasion in answer.json["detail"] for occasion in OCCASIONS)


@pytest.mark.parametrize(
    "url",
    [
        "https://hooks.example.com",
        "https://hooks.example.com:443/orders?a=b",
        "HTTPS://Hooks.Example.COM/Orders",
        "https://xn--bcher-kva.example.com/",
        "https://a.xn--p1ai/",
    ],
)
def test_ordinary_urls_are_accepted(notifications: Notifications, url: str) -> None:
    assert notifications.put(webhook(url)).status == 200


def test_only_the_vault_has_a_customers_addresses(notifications: Notifications) -> None:
    notifications.prefer(email={"address": "ada@example.com"}, sms={"phone": "+4930123456"})
    assert "ada@example.com" in str(notifications.vault.items())
    assert notifications.table.items() == []


def test_erased_preferences_are_gone_and_those_of_others_stay(notifications: Notifications) -> None:
    notifications.prefer(email={"address": "ada@example.com"})
    notifications.put({"email": {"address": "bob@example.com"}}, caller="customer-2")
    proof = {"context": "notifications", "kinds": ("Preferences",)}
    assert notifications.erase() == notifications.erase() == proof
    assert notifications.get().json == {"email": None, "sms": None, "webhook": None}
    assert notifications.get("customer-2").json["email"]["address"] == "bob@example.com"


class TestPreferencesOfEarlierReleases:
    """They are in the context's own table."""

    @pytest.fixture(autouse=True)
    def stored(self, notifications: Notifications) -> None:
        wishes = {"email": {"address": "ada@example.com"}}
        key = {"pk": "CUSTOMER#customer-1", "sk": "PREFERENCES"}
        notifications.table.put({**key, "kind": "preferences", "wishes": wishes})

    def test_they_count_until_the_customer_changes_them(self, notifications: Notifications) -> None:
        assert notifications.get().json["email"]["address"] == "ada@example.com"
        notifications.prefer(sms={"phone": "+4930123456"})
        assert notifications.get().json["email"] is None
        assert notifications.table.items() == []

    def test_they_are_erased(self, notifications: Notifications) -> None:
        notifications.erase()
        assert notifications.table.items() == []
