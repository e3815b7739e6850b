"""A customer with an account and data that occur nowhere else."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lambdas.notifications.events import Channel
from tests.flows.shop import Shop
from tools.demo.partner import PARTNER
from tools.demo.stores import places_with

POOL = "Backbone/Api/Customers"


@dataclass
class Person:
    """A customer with unique data."""

    shop: Shop
    name: str
    token: str = "tok_flaky_0000"
    """A token that the provider approves, and that nobody else has."""
    id: str = field(init=False)

    def __post_init__(self) -> None:
        user = self.shop.rehearsal.client("cognito-idp").admin_create_user(
            UserPoolId=self.shop.rehearsal.physical_id(POOL), Username=self.data["e-mail"]
        )["User"]
        (self.id,) = [each["Value"] for each in user["Attributes"] if each["Name"] == "sub"]

    @property
    def data(self) -> Mapping[str, str]:
        """The planted values, by the names that the page uses."""
        return {
            "name": f"Name-{self.name}",
            "address": f"Street-{self.name} 1",
            "e-mail": f"mail-{self.name}@example.com".lower(),
            "phone": f"+4930{sum(map(ord, self.name)):09}",
            "webhook": f"https://{PARTNER}/hook-{self.name}".lower(),
            "payment token": self.token,
        }

    def prefer(self) -> None:
        body = {
            "email": {"address": self.data["e-mail"]},
            "sms": {"phone": self.data["phone"]},
            "webhook": {"url": self.data["webhook"]},
        }
        assert self.shop.request("PUT", "/preferences", self.id, body=body).status == 200
        values = (self.data["e-mail"], self.data["phone"], self.data["webhook"])
        self.shop.known.preferences[self.id] = dict(zip(Channel, values, strict=True))

    def order(self, sku: str, key: str = "first", token: str | None = None) -> str:
        body = {
            "currency": "EUR",
            "lines": [{"sku": sku, "quantity": 1, "unit_price_minor": 1250}],
            "shipping_address": {
                "name": self.data["name"],
                "street": self.data["address"],
                "postal_code": "12345",
                "city": f"City-{self.name}",
                "country": "DE",
            },
            "payment_token": token or self.data["payment token"],
        }
        answer = self.shop.request("POST", "/orders", self.id, {"idempotency-key": key}, body)
        assert answer.status == 202, answer
        order_id: str = answer.json()["order_id"]
        self.shop.known.accepted.add(order_id)
        return order_id

    def erase(self) -> Any:
        assert self.shop.erase(self.id, *self.data.values()).status == 202
        self.shop.settle()
        return self.shop.staff.ask("GET", f"/customers/{self.id}/erasure").json()

    def places(self) -> list[str]:
        """Where the data are, as `path (type): value`."""
        values = [*self.data.values(), f"City-{self.name}"]
        return places_with(self.shop.rehearsal, values)
