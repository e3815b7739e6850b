"""Temporary accounts: a customer with synthetic orders, and a staff member with a second factor.

Only a caller with AWS credentials can create them, and no address is ever written to: Cognito's
message is suppressed, and the shop's go to the mailbox simulator of SES.
https://docs.aws.amazon.com/ses/latest/dg/send-an-email-from-console.html
"""

import base64
import hmac
import secrets
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from lambdas.eventing.http import SYNTHETIC
from lambdas.shared.staff import CUSTOMER_CLAIM, NO_CUSTOMER
from tools.smoke.stage import Stage

CUSTOMER_PREFIX, STAFF_PREFIX = "success+smoke-customer-", "success+smoke-staff-"
"""The beginnings of the addresses of all temporary accounts."""
_DOMAIN = "@simulator.amazonses.com"
_STEP_S = 30
"""https://www.rfc-editor.org/rfc/rfc6238"""


class SignInFailed(Exception):
    """Cognito asks for something that the smoke test does not know."""


@dataclass(frozen=True)
class Account:
    """An account of a user pool, with a token that is valid for an hour."""

    pool: str
    email: str
    sub: str
    token: str


class Accounts:
    """Creates accounts in both user pools of a stage, and finds those of earlier runs."""

    def __init__(self, stage: Stage) -> None:
        self._cognito = stage.client("cognito-idp")
        self._stage = stage

    def customer(self) -> Account:
        """Creates a customer whose orders are synthetic."""
        pool = self._stage.output("ApiUserPoolId")
        email = f"{CUSTOMER_PREFIX}{uuid4().hex[:12]}{_DOMAIN}"
        password = _password()
        sub = self._create(pool, email, password, {})
        self._cognito.admin_add_user_to_group(UserPoolId=pool, Username=email, GroupName=SYNTHETIC)
        tokens = self._sign_in(pool, self._stage.output("ApiUserPoolClientId"), email, password)
        return Account(pool, email, sub, tokens["AccessToken"])

    def staff(self) -> Account:
        """Creates a staff member, and enrols a second factor that nobody keeps."""
        pool = self._stage.output("ApiStaffPoolId")
        email = f"{STAFF_PREFIX}{uuid4().hex[:12]}{_DOMAIN}"
        password = _password()
        sub = self._create(pool, email, password, {CUSTOMER_CLAIM: NO_CUSTOMER})
        tokens = self._sign_in(pool, self._stage.output("ApiStaffPoolClientId"), email, password)
        return Account(pool, email, sub, tokens["IdToken"])

    def again(self, email: str, sub: str) -> Account:
        """Signs in as the customer of an earlier run, with a new password."""
        pool, password = self._stage.output("ApiUserPoolId"), _password()
        self._cognito.admin_set_user_password(
            UserPoolId=pool, Username=email, Password=password, Permanent=True
        )
        tokens = self._sign_in(pool, self._stage.output("ApiUserPoolClientId"), email, password)
        return Account(pool, email, sub, tokens["AccessToken"])

    def exists(self, account: Account) -> bool:
        """Whether the account is still in its user pool."""
        try:
            self._cognito.admin_get_user(UserPoolId=account.pool, Username=account.sub)
        except self._cognito.exceptions.UserNotFoundException:
            return False
        return True

    def delete(self, pool: str, email: str) -> None:
        """Deletes an account."""
        self._cognito.admin_delete_user(UserPoolId=pool, Username=email)

    def left_customers(self, older_than: timedelta | None) -> Iterator[tuple[str, str]]:
        """Yields e-mail address and id of the customers that earlier runs have left.

        Without `older_than`, their age does not matter.
        """
        pages = self._cognito.get_paginator("list_users_in_group").paginate(
            UserPoolId=self._stage.output("ApiUserPoolId"), GroupName=SYNTHETIC
        )
        for page in pages:
            for user in page["Users"]:
                attributes = _attributes(user)
                if _is_old(user, older_than) and attributes["email"].startswith(CUSTOMER_PREFIX):
                    yield attributes["email"], attributes["sub"]

    def left_staff(self, older_than: timedelta | None) -> Iterator[tuple[str, str]]:
        """Yields pool and e-mail address of the staff that earlier runs have left."""
        pool = self._stage.output("ApiStaffPoolId")
        pages = self._cognito.get_paginator("list_users").paginate(
            UserPoolId=pool, Filter=f'email ^= "{STAFF_PREFIX}"'
        )
        for page in pages:
            for user in page["Users"]:
                if _is_old(user, older_than):
                    yield pool, _attributes(user)["email"]

    def _create(self, pool: str, email: str, password: str, attributes: Mapping[str, str]) -> str:
        given = {"email": email, "email_verified": "true", **attributes}
        created = self._cognito.admin_create_user(
            UserPoolId=pool,
            Username=email,
            TemporaryPassword=password,
            MessageAction="SUPPRESS",
            UserAttributes=[{"Name": name, "Value": value} for name, value in given.items()],
        )
        return _attributes(created["User"])["sub"]

    def _sign_in(self, pool: str, client: str, email: str, password: str) -> Mapping[str, str]:
        """Signs in with a password, and answers what Cognito asks of a new account.

        https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-authentication-flow-methods.html
        """
        answer = self._cognito.admin_initiate_auth(
            UserPoolId=pool,
            ClientId=client,
            AuthFlow="ADMIN_USER_PASSWORD_AUTH",
            AuthParameters={"USERNAME": email, "PASSWORD": password},
        )
        while challenge := answer.get("ChallengeName"):
            session, more = answer["Session"], {}
            if challenge == "NEW_PASSWORD_REQUIRED":
                more = {"NEW_PASSWORD": _password()}
            elif challenge == "MFA_SETUP":
                session = self._enrol(session)
            else:
                raise SignInFailed(f"Cognito asks {email} for {challenge}: sign-in is not possible")
            answer = self._cognito.admin_respond_to_auth_challenge(
                UserPoolId=pool,
                ClientId=client,
                ChallengeName=challenge,
                Session=session,
                ChallengeResponses={"USERNAME": email, **more},
            )
        tokens: Mapping[str, str] = answer["AuthenticationResult"]
        return tokens

    def _enrol(self, session: str) -> str:
        """Enrols an authenticator app for an account that needs one. Returns the next session.

        https://docs.aws.amazon.com/cognito/latest/developerguide/user-pool-settings-mfa-totp.html
        """
        given = self._cognito.associate_software_token(Session=session)
        verified = self._cognito.verify_software_token(
            Session=given["Session"], UserCode=totp(given["SecretCode"], time.time())
        )
        return str(verified["Session"])


def totp(secret: str, now: float) -> str:
    """Returns the six digits of an authenticator app with a secret in Base32, at epoch seconds.

    https://www.rfc-editor.org/rfc/rfc6238
    """
    key = base64.b32decode(secret + "=" * (-len(secret) % 8), casefold=True)
    digest = hmac.digest(key, int(now // _STEP_S).to_bytes(8, "big"), "sha1")
    start = digest[-1] % 16
    number = int.from_bytes(digest[start : start + 4], "big") % 2**31
    return f"{number % 10**6:06}"


def _password() -> str:
    # The pools ask for each kind of character.
    return f"aA1!{secrets.token_urlsafe(24)}"


def _attributes(user: Mapping[str, Any]) -> dict[str, str]:
    return {each["Name"]: each["Value"] for each in user["Attributes"]}


def _is_old(user: Mapping[str, Any], older_than: timedelta | None) -> bool:
    created: datetime = user["UserCreateDate"]
    return older_than is None or datetime.now(UTC) - created >= older_than
