"""The carrier of this stage. Handlers ask here, and never name one."""

from lambdas.eventing.event import Cause
from lambdas.shipping.carrier import Carrier
from lambdas.shipping.settings import settings


def takes(cause: Cause) -> bool:
    """Whether the carrier may be asked for a parcel: a real one never for a synthetic order."""
    return settings().carrier == "sandbox" or not cause.synthetic


def carrier() -> Carrier:
    """Returns the carrier that the stage decided on. Imports only the module of that one."""
    chosen = settings()
    match chosen.carrier:
        case "easypost":
            from lambdas.shipping.easypost_carrier import EasyPostCarrier

            return EasyPostCarrier(chosen.carrier_resource)
        case "sandbox":
            from lambdas.shipping.sandbox_carrier import SandboxCarrier

            return SandboxCarrier(chosen.carrier_resource)
