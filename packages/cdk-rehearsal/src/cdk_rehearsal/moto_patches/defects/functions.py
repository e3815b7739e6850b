"""A defect of Lambda in moto 5.2.5.

**Invoke takes no notice of its qualifier.** moto looks for the parameter under another name, so
that the latest version runs in place of the one that was asked for:
https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html

    lambda_.invoke(FunctionName="f", Qualifier="live")  # runs $LATEST
"""

from typing import Any

from moto.awslambda.responses import LambdaResponse

from cdk_rehearsal.sandbox.patching import Patches


def patch(patches: Patches) -> None:
    """Reads the qualifier under the name that clients send."""
    original = LambdaResponse._get_param

    def get_param(self: LambdaResponse, name: str, *default: Any) -> Any:
        return original(self, "Qualifier" if name == "qualifier" else name, *default)

    patches.set(LambdaResponse, "_get_param", get_param)
