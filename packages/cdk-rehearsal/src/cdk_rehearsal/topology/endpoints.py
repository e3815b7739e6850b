"""The routes of an application's HTTP APIs, with their functions and authorizers."""

from dataclasses import dataclass
from typing import Any

from cdk_rehearsal.assembly import Assembly, Resource


@dataclass(frozen=True)
class HttpRoute:
    """One method on one path."""

    method: str
    path: str
    function: Resource
    authorizer: Resource | None
    """None if the route is public."""


def http_routes(assembly: Assembly) -> list[HttpRoute]:
    """Returns all routes, by path and method. Raises LookupError if there is none."""
    found = [_route(assembly, route) for route in assembly.of_type("AWS::ApiGatewayV2::Route")]
    return sorted(found, key=lambda route: (route.path, route.method))


def _route(assembly: Assembly, route: Resource) -> HttpRoute:
    method, _, path = route.properties["RouteKey"].partition(" ")
    integration = assembly.referred(route.stack, _integration(route))
    authorizer: Resource | None = None
    if route.properties.get("AuthorizationType", "NONE") != "NONE":
        authorizer = assembly.referred(route.stack, route.properties["AuthorizerId"])
    stated = integration.properties
    uri = stated.get("IntegrationUri", stated.get("IntegrationSubtype"))
    function = assembly.find(integration.stack, uri)
    if function is None:
        raise LookupError(f"{route} leads to {uri}, which is no function: remove the route")
    return HttpRoute(method, path, function, authorizer)


def _integration(route: Resource) -> Any:
    """The reference in `integrations/…`."""
    match route.properties["Target"]:
        case {"Fn::Join": ["", ["integrations/", reference]]}:
            return reference
    raise LookupError(f"{route} has the target {route.properties['Target']}, not an integration")
