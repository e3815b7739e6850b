"""A live page about a rehearsal: what travels where, what fails, and what happens when it is fixed.

The rehearsal and the page's server are two processes. The rehearsal sends its records over a
socket, and carries out the page's commands between two of its steps. Names are imported when they
are first used: the server needs none of them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cdk_rehearsal.console.actions import Action, Field, Site
    from cdk_rehearsal.console.console import Console
    from cdk_rehearsal.console.deployed.proof import PolicyUse, policy_use
    from cdk_rehearsal.console.pacing import play
    from cdk_rehearsal.console.runbook import runbook_page

__all__ = ["Action", "Console", "Field", "PolicyUse", "Site"]
__all__ += ["play", "policy_use", "runbook_page"]

_MODULE_OF = {
    "Action": "actions",
    "Console": "console",
    "Field": "actions",
    "PolicyUse": "deployed.proof",
    "Site": "actions",
    "play": "pacing",
    "policy_use": "deployed.proof",
    "runbook_page": "runbook",
}


def __getattr__(name: str) -> Any:
    """Imports a public name from its module."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
