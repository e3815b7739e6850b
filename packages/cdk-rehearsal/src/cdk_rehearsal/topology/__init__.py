"""Analyses the templates of an assembly: edges, losses, permissions, and what a change does.

Everything here reads templates and nothing else: no account, no handler, no moto. The modules of
this package are private, except `imports`, which is a command.
"""

from cdk_rehearsal.topology.access import SERVICE_PRINCIPALS, Sender, senders
from cdk_rehearsal.topology.changes import differences
from cdk_rehearsal.topology.comparison import Blocking, Comparison, compare_assemblies
from cdk_rehearsal.topology.deployment_orders import (
    all_orders,
    count_orders,
    covering_orders,
    drawn_order,
    free_pairs,
    pairs_of,
)
from cdk_rehearsal.topology.durability import DurabilityRule, Loss, losses, worst
from cdk_rehearsal.topology.endpoints import HttpRoute, http_routes
from cdk_rehearsal.topology.locations import Move, Moves, Twins, moves
from cdk_rehearsal.topology.messaging import Edge, edges
from cdk_rehearsal.topology.proof import Form, Message, PublishedEvent, RoutingFinding, RoutingProof
from cdk_rehearsal.topology.replacements import Replacement
from cdk_rehearsal.topology.retention import Leftover, RetentionRule, is_name, leftovers, outlives
from cdk_rehearsal.topology.routes import Filter, Pattern, filters
from cdk_rehearsal.topology.statements import (
    Statement,
    queue_statements,
    role_of,
    role_statements,
    source_named,
)
from cdk_rehearsal.topology.synchronous import Call, calls
from cdk_rehearsal.topology.template_limits import Exceeded, exceeded

__all__ = ["Call", "Edge", "Sender", "calls", "edges", "senders"]
__all__ += ["DurabilityRule", "Leftover", "Loss", "RetentionRule", "leftovers", "losses", "worst"]
__all__ += ["Exceeded", "exceeded"]
__all__ += ["all_orders", "count_orders", "covering_orders", "drawn_order", "free_pairs"]
__all__ += ["Replacement", "pairs_of"]
__all__ += ["Blocking", "Comparison", "compare_assemblies", "differences"]
__all__ += ["Move", "Moves", "Twins", "moves"]
__all__ += ["Form", "Message", "PublishedEvent", "RoutingFinding", "RoutingProof"]
__all__ += ["Filter", "HttpRoute", "Pattern", "filters", "http_routes"]
__all__ += ["SERVICE_PRINCIPALS", "Statement", "queue_statements", "role_of", "role_statements"]
__all__ += ["is_name", "outlives", "source_named"]
