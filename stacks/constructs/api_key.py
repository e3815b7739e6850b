"""A key that a partner issues, and an operator enters."""

from constructs import Construct

from stacks.constructs.platform import Platform
from stacks.constructs.signing_secret import SigningSecret


class ApiKey(SigningSecret):
    """A key of a partner's API. Before the operator enters it, the partner rejects each call."""

    def __init__(self, scope: Construct, id_: str, *, platform: Platform, description: str) -> None:
        super().__init__(
            scope,
            id_,
            platform=platform,
            description=description,
            why_it_stays="The partner issues it: it is rolled in the partner's dashboard, and "
            "entered here.",
        )
