"""Set the caller's preferences: PUT /preferences."""

from typing import Annotated

import msgspec
from msgspec import Meta

from lambdas.eventing import vault
from lambdas.eventing.declaration import DELETE
from lambdas.eventing.http import Request, endpoint
from lambdas.notifications import domain, notification_store
from lambdas.notifications.domain import Preferences
from lambdas.notifications.representation import PreferencesView, represent

Address = Annotated[
    str,
    Meta(
        max_length=254,
        # Narrower than RFC 5322, and ASCII only: https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_Destination.html
        pattern=r"^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}"
        r"@([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z][A-Za-z0-9-]*[A-Za-z0-9]$(?!\n)",
        description="Address in ASCII",
        examples=["customer@example.com"],
    ),
]
Phone = Annotated[
    str,
    Meta(
        pattern=r"^\+[1-9][0-9]{6,14}$(?!\n)",
        description="Number in E.164 form",
        examples=["+4930123456"],
    ),
]
Url = Annotated[
    str,
    Meta(
        description="Where to post messages: https on port 443, with a host's full name",
        examples=["https://shop-hooks.example.com/orders"],
        # `domain.destination` checks more than this.
        extra_json_schema={
            "format": "uri",
            "pattern": "^[Hh][Tt][Tt][Pp][Ss]://",
            "maxLength": domain.MAX_URL,
        },
    ),
]
Occasions = Annotated[
    tuple[Annotated[str, Meta(extra_json_schema={"enum": [*domain.OCCASIONS]})], ...],
    Meta(max_length=len(domain.OCCASIONS), description="Events to notify about; null is all"),
]


class SetEmail(domain.Email, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """E-mail switched on."""

    address: Address
    occasions: Occasions | None = None

    def __post_init__(self) -> None:
        """Rejects unknown notification types."""
        _check_occasions(self)


class SetSms(domain.Sms, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """SMS switched on, to a number in E.164 form."""

    phone: Phone
    occasions: Occasions | None = None

    def __post_init__(self) -> None:
        """Rejects unknown notification types."""
        _check_occasions(self)


class SetWebhook(domain.Webhook, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The webhook switched on."""

    url: Url
    occasions: Occasions | None = None
    signing_secret: Annotated[
        str | None,
        Meta(
            description="As GET shows it, whose answer can be sent back; ignored",
            examples=["5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"],
        ),
    ] = None

    def __post_init__(self) -> None:
        """Rejects unknown notification types, and URLs that the shop does not call."""
        _check_occasions(self)
        try:
            domain.destination(self.url)
        except ValueError as error:
            raise ValueError(f"url {error}") from error


class SetPreferences(domain.Preferences, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The request body: the channels to switch on."""

    email: SetEmail | None = None
    sms: SetSms | None = None
    webhook: SetWebhook | None = None


@endpoint(body=SetPreferences, answers=PreferencesView, uses=(DELETE, *vault.deposits(Preferences)))
def handler(request: Request, wanted: SetPreferences) -> PreferencesView:
    """Set the caller's preferences.

    They replace the earlier ones: a channel that is left out is off.
    """
    chosen = msgspec.convert(wanted, domain.Preferences, from_attributes=True)
    notification_store.replace_preferences(request.caller, chosen, request)
    return represent(request.caller, chosen)


def _check_occasions(choice: domain.Choice) -> None:
    if set(choice.occasions or ()).difference(domain.OCCASIONS):
        raise ValueError(f"occasions: expected some of {', '.join(domain.OCCASIONS)}")
