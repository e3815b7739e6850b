"""Get the caller's preferences: GET /preferences."""

from lambdas.eventing import vault
from lambdas.eventing.declaration import GET
from lambdas.eventing.http import Request, endpoint
from lambdas.notifications import notification_store
from lambdas.notifications.domain import Preferences
from lambdas.notifications.representation import PreferencesView, represent


@endpoint(answers=PreferencesView, uses=(GET, *vault.redeems(Preferences)))
def handler(request: Request) -> PreferencesView:
    """Get the caller's preferences.

    All channels are off until the customer switches them on.
    """
    return represent(request.caller, notification_store.preferences(request.caller))
