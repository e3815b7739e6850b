"""The schema registry has the schema of each published event."""

import json

from jsonschema import Draft4Validator

from cdk_rehearsal import Assembly
from stacks.schemas.events import PUBLISHED
from stacks.schemas.json_schema import bus_example
from tests.support.messages import body, enveloped
from tests.support.orders import placed


def contents(shop: Assembly) -> dict[str, str]:
    """The registered contents by the schema's name."""
    found = {}
    for schema in shop.of_type("AWS::EventSchemas::Schema"):
        registry = shop.referred(schema.stack, schema.properties["RegistryName"])
        assert registry.type == "AWS::EventSchemas::Registry"
        assert schema.properties["Type"] == "JSONSchemaDraft4"
        found[schema.properties["SchemaName"]] = schema.properties["Content"]
    return found


def test_exactly_the_published_events_are_registered(shop: Assembly) -> None:
    names = {f"{event.source}@{name}" for name, event in PUBLISHED.items()}
    assert contents(shop).keys() == names


def test_each_content_is_draft_4_within_the_size_limit(shop: Assembly) -> None:
    # Imported here, because it starts the CDK library in each process that collects tests.
    from stacks.constructs.schema_registry import MAX_CONTENT

    for name, content in contents(shop).items():
        assert len(content) <= MAX_CONTENT, name
        Draft4Validator.check_schema(json.loads(content))


def test_messages_of_the_bus_match_their_registered_schema(shop: Assembly) -> None:
    registered = contents(shop)
    for name, event in PUBLISHED.items():
        schema = json.loads(registered[f"{event.source}@{name}"])
        Draft4Validator(schema).validate(bus_example(event))
    schema = json.loads(registered["orderflow.orders@OrderPlaced.v2"])
    message = json.loads(body(enveloped(placed(order_id="order-1"))))
    Draft4Validator(schema).validate(message)
    message["detail"]["data"]["total_minor"] = "12.50"
    assert not Draft4Validator(schema).is_valid(message)
