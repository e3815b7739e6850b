"""Staff: the token of a staff member names their own customer account."""

CUSTOMER_CLAIM = "custom:customer_id"
"""The claim of an ID token with the id of the staff member's customer account. Only administrators
set it. Access tokens do not contain it.
https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-using-the-id-token.html"""

NO_CUSTOMER = "none"
"""Its value for a staff member without a customer account."""
