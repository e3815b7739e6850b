"""What is deployed of a stage, found by CloudFormation."""

from collections.abc import Mapping
from typing import Any


def resources_of(cloudformation: Any, stack: str, type_: str) -> Mapping[str, str]:
    """Returns the physical ids of a stack's resources of a type, by logical id.

    Raises the errors of the client, for example if there is no such stack.
    https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_ListStackResources.html
    """
    pages = cloudformation.get_paginator("list_stack_resources").paginate(StackName=stack)
    return {
        each["LogicalResourceId"]: each["PhysicalResourceId"]
        for page in pages
        for each in page["StackResourceSummaries"]
        if each["ResourceType"] == type_
    }
