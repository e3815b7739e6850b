"""Constants that moto works out at each start and each request: they are kept."""

from functools import cache

from moto.core import models, responses
from moto.core.custom_responses_mock import CallbackResponse
from moto.core.utils import method_names_from_class

from cdk_rehearsal.sandbox.patching import Patches


def patch(patches: Patches) -> None:
    """Makes each start but the first of this process cheap; to be installed before moto starts."""
    # More than a thousand patterns of URLs, without a state.
    patches.set(models, "CallbackResponse", _response)
    # Only for this start: another one may add actions to the same classes.
    patches.set(responses, "method_names_from_class", cache(method_names_from_class))


_response = cache(CallbackResponse)
