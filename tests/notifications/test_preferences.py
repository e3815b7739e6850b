"""Preferences: each customer's own, replaced as a whole, checked before they are believed."""

from typing import Any

import pytest

from lambdas.notifications.domain import OCCASIONS
from tests.notifications.context import ALL_ON, MASTER_SECRET, Notifications


def nothing() -> dict[str, None]:
    return {"email": None, "sms": None, "webhook": None}


def test_who_never_said_anything_hears_nothing(notifications: Notifications) -> None:
    answer = notifications.get()
    assert answer.status == 200
    assert answer.json == nothing()


def test_what_is_put_is_what_is_got(notifications: Notifications) -> None:
    wishes = {
        "email": {"address": "ada@example.com", "occasions": ["OrderShipped", "OrderDelivered"]},
        "sms": {"phone": "+4930123456", "occasions": None},
        "webhook": {"url": "https://hooks.example.com/orders", "occasions": []},
    }
    put = notifications.put(wishes)
    got = notifications.get()
    assert put.status == got.status == 200
    assert put.json == got.json
    secret = got.json["webhook"].pop("signing_secret")
    assert got.json == wishes
    assert len(secret) == 64


def test_what_is_put_replaces_all_that_was_there(notifications: Notifications) -> None:
    notifications.put(ALL_ON)
    notifications.put({"sms": {"phone": "+4930123457"}})
    expected = {**nothing(), "sms": {"phone": "+4930123457", "occasions": None}}
    assert notifications.get().json == expected


def test_an_empty_body_of_preferences_forgets_every_address(notifications: Notifications) -> None:
    notifications.put(ALL_ON)
    assert notifications.put({}).status == 200
    stored = str(notifications.table.items())
    assert not any(part in stored for part in ("ada@example.com", "4930123456", "hooks.example"))


def test_customers_see_and_change_their_own_alone(notifications: Notifications) -> None:
    notifications.put(ALL_ON, caller="customer-1")
    notifications.put({}, caller="customer-2")
    assert notifications.get("customer-2").json == nothing()
    assert notifications.get("customer-1").json["email"]["address"] == "ada@example.com"


def test_each_webhook_has_a_secret_of_its_own(notifications: Notifications) -> None:
    secrets = {
        notifications.put(ALL_ON, caller=caller).json["webhook"]["signing_secret"]
        for caller in ("customer-1", "customer-2")
    }
    assert len(secrets) == 2
    assert MASTER_SECRET not in secrets


def test_the_answer_can_be_sent_back_as_it_is(notifications: Notifications) -> None:
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
def test_what_cannot_work_is_refused_with_its_field_and_changes_nothing(
    notifications: Notifications, body: Any, field: str
) -> None:
    notifications.put(ALL_ON)
    before = notifications.table.items("preferences")
    answer = notifications.put(body)
    assert answer.status == 400
    assert field in answer.json["errors"][0]["field"]
    assert notifications.table.items("preferences") == before


@pytest.mark.parametrize(
    ("wishes", "field"),
    [
        ({"email": {"address": "ada\r\n@example.com"}}, "email.address"),
        ({"email": {"address": "ada@example.com\r"}}, "email.address"),
        ({"sms": {"phone": "+4930123456\r"}}, "sms.phone"),
        ({"webhook": {"url": "https://hooks.example.com/\r"}}, "webhook.url"),
    ],
)
def test_a_character_that_could_break_a_header_is_named(
    notifications: Notifications, wishes: dict[str, Any], field: str
) -> None:
    answer = notifications.put(wishes)
    assert answer.status == 400
    assert answer.json["errors"] == [
        {"field": field, "reason": "contains U+000D (carriage return)"}
    ]


@pytest.mark.parametrize(
    "host", ["[::1]", "[abc]", "[::1]x.example", "x[::1]", "x.example:port", "x.example:99999"]
)
def test_a_wrong_host_is_refused_with_the_same_words_on_every_python(
    notifications: Notifications, host: str
) -> None:
    detail = notifications.put(webhook(f"https://{host}/")).json["detail"]
    assert "must name a host by its full name in the DNS, not by an address, and no port" in detail


def test_a_refusal_names_the_occasions_there_are(notifications: Notifications) -> None:
    answer = notifications.put(email(occasions=["OrderPaid"]))
    assert "there is no OrderPaid" in answer.json["detail"]
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
def test_ordinary_urls_are_taken(notifications: Notifications, url: str) -> None:
    assert notifications.put(webhook(url)).status == 200
