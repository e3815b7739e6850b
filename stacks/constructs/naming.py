"""Names of resources that need one before CloudFormation makes them."""

from aws_cdk import Names
from constructs import Construct


def name_of(construct: Construct, *, max_length: int) -> str:
    """A physical name like those that CloudFormation gives: that of the stack, then the rest.

    The stack's name is in it word for word, hyphens included: the dashboard searches for its words.
    """
    return Names.unique_resource_name(
        construct, max_length=max_length, separator="-", allowed_special_characters="-"
    )
