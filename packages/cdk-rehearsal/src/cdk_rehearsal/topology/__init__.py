"""Analyses the templates of an assembly: edges, losses, permissions, and what a change does.

Everything here reads templates and nothing else: no account, no handler, no moto. The modules of
this package are private, except `imports`, which is a command.
"""

from typing import TYPE_CHECKING

from cdk_rehearsal.lazy import lazily

if TYPE_CHECKING:
    from cdk_rehearsal.topology.access import SERVICE_PRINCIPALS, Sender, senders
    from cdk_rehearsal.topology.changes import differences
    from cdk_rehearsal.topology.comparison import Blocking, Comparison, compare_assemblies
    from cdk_rehearsal.topology.durability import DurabilityRule, Loss, losses
    from cdk_rehearsal.topology.endpoints import HttpRoute, http_routes
    from cdk_rehearsal.topology.messaging import Edge, edges
    from cdk_rehearsal.topology.proof import (
        Form,
        Message,
        PublishedEvent,
        RoutingFinding,
        RoutingProof,
    )
    from cdk_rehearsal.topology.retention import (
        Leftover,
        RetentionRule,
        is_name,
        leftovers,
        outlives,
    )
    from cdk_rehearsal.topology.routes import Filter, Pattern, filters
    from cdk_rehearsal.topology.statements import (
        Statement,
        queue_statements,
        role_of,
        role_statements,
        source_named,
    )

__all__ = [
    "SERVICE_PRINCIPALS",
    "Blocking",
    "Comparison",
    "DurabilityRule",
    "Edge",
    "Filter",
    "Form",
    "HttpRoute",
    "Leftover",
    "Loss",
    "Message",
    "Pattern",
    "PublishedEvent",
    "RetentionRule",
    "RoutingFinding",
    "RoutingProof",
    "Sender",
    "Statement",
    "compare_assemblies",
    "differences",
    "edges",
    "filters",
    "http_routes",
    "is_name",
    "leftovers",
    "losses",
    "outlives",
    "queue_statements",
    "role_of",
    "role_statements",
    "senders",
    "source_named",
]

_MODULES = {
    "access": ("SERVICE_PRINCIPALS", "Sender", "senders"),
    "changes": ("differences",),
    "comparison": ("Blocking", "Comparison", "compare_assemblies"),
    "durability": ("DurabilityRule", "Loss", "losses"),
    "messaging": ("Edge", "edges"),
    "endpoints": ("HttpRoute", "http_routes"),
    "proof": ("Form", "Message", "PublishedEvent", "RoutingFinding", "RoutingProof"),
    "retention": ("Leftover", "RetentionRule", "is_name", "leftovers", "outlives"),
    "routes": ("Filter", "Pattern", "filters"),
    "statements": ("Statement", "queue_statements", "role_of", "role_statements", "source_named"),
}
__getattr__ = lazily(__name__, _MODULES, light=_MODULES)
