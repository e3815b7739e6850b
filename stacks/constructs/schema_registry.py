"""The schema registry: the schemas of all events, for authors of consumers."""

import json
from collections.abc import Iterable

from aws_cdk import aws_eventschemas as eventschemas
from constructs import Construct

from lambdas.eventing.event import Event
from stacks.constructs.platform import Platform
from stacks.schemas.draft4 import to_draft4
from stacks.schemas.json_schema import bus_schema

MAX_CONTENT = 100_000
"""Characters of a schema.
https://docs.aws.amazon.com/eventbridge/latest/schema-reference/v1-registries-name-registryname-schemas-name-schemaname.html"""


class SchemaRegistry(Construct):
    """A registry with a schema for each event, under the names that EventBridge uses.

    A major version is a separate schema, `source@detail-type`. An additive change is a new version
    of that schema, and the registry keeps all versions.
    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-schema-registry.html
    """

    def __init__(
        self, scope: Construct, id_: str, *, platform: Platform, events: Iterable[type[Event]]
    ) -> None:
        super().__init__(scope, id_)
        registry = eventschemas.CfnRegistry(
            self,
            "Registry",
            # People and tools look it up by name.
            registry_name=f"orderflow-{platform.environment.name}",
            description="What the shop's events look like",
        )
        for event in events:
            eventschemas.CfnSchema(
                self,
                event.detail_type(),
                registry_name=registry.attr_registry_name,
                schema_name=f"{event.source}@{event.detail_type()}",
                type="JSONSchemaDraft4",
                description=f"{event.detail_type()} of {event.source}",
                content=_content(event),
            )


def _content(event: type[Event]) -> str:
    content = json.dumps(to_draft4(bus_schema(event)), separators=(",", ":"))
    if len(content) > MAX_CONTENT:
        raise ValueError(
            f"the schema of {event.detail_type()} has {len(content)} characters, over "
            f"{MAX_CONTENT}: make the event smaller, for example with a reference"
        )
    return content
