"""Delete an account: the customer's e-mail address and password in the user pool."""

from contextlib import suppress

from lambdas.eventing import aws
from lambdas.eventing.event import Delivery
from lambdas.eventing.task import Failure, task
from lambdas.privacy.events import Erased, ErasureRequested
from lambdas.privacy.settings import account_settings


@task(ErasureRequested)
def handler(delivery: Delivery[ErasureRequested], _: Failure | None) -> Erased:
    """Nobody can sign in after this; access tokens stay valid until they expire.

    The customer's id is the `sub` of the account, which the pool accepts as a username.
    https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_AdminDeleteUser.html
    """
    client = aws.cognito()
    with suppress(client.exceptions.UserNotFoundException):  # It was deleted before.
        client.admin_delete_user(
            UserPoolId=account_settings().user_pool_id, Username=delivery.event.customer_id
        )
    return Erased(context="privacy", kinds=("Account",))
