"""Names of resources that need one before CloudFormation creates them."""

from aws_cdk import Fn, Names, Stack
from constructs import Construct


def name_of(construct: Construct, *, max_length: int) -> str:
    """Returns a physical name like those that CloudFormation generates.

    It contains the stack's name, including hyphens, because the dashboard searches for its words.
    """
    return Names.unique_resource_name(
        construct, max_length=max_length, separator="-", allowed_special_characters="-"
    )


def generation_of(construct: Construct) -> str:
    """Returns eight characters that change each time the construct's stack is created.

    Use them in the name of a resource that outlives its stack. Without them, the name would be
    taken when the stack is created again.
    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/pseudo-parameter-reference.html
    """
    # arn:…:stack/orderflow-prod-inventory/51af3dc0-da77-11e4-872e-1234567b4b89
    identifier = Fn.select(2, Fn.split("/", Stack.of(construct).stack_id))
    return Fn.select(0, Fn.split("-", identifier))
