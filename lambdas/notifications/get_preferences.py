"""Get one's preferences: GET /preferences."""

from http import HTTPStatus

from lambdas.eventing.http import Request, Response, endpoint
from lambdas.notifications import notification_store
from lambdas.notifications.representation import represent


@endpoint
def handler(request: Request) -> Response:
    """200 with the caller's own preferences; all channels are off until they say otherwise."""
    wishes = notification_store.preferences(request.caller)
    return Response(status=HTTPStatus.OK, body=represent(request.caller, wishes))
