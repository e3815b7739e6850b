"""Defects of Lambda in moto 5.2.5.

**Invoke takes no notice of its qualifier.** moto looks for the parameter under another name, so
that the latest version runs in place of the one that was asked for:
https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html

    lambda_.invoke(FunctionName="f", Qualifier="live")  # runs $LATEST

**The URL of a function has no path.** That of AWS ends with a slash:
https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunctionUrlConfig.html

    lambda_.create_function_url_config(FunctionName="f", AuthType="NONE")["FunctionUrl"]
"""

from typing import Any

from moto.awslambda.models import FunctionUrlConfig
from moto.awslambda.responses import LambdaResponse

from cdk_rehearsal.sandbox.patching import Patches


def patch(patches: Patches) -> None:
    """Reads the qualifier under the name that clients send, and ends URLs with a slash."""
    original = LambdaResponse._get_param
    described = FunctionUrlConfig.to_dict

    def get_param(self: LambdaResponse, name: str, *default: Any) -> Any:
        return original(self, "Qualifier" if name == "qualifier" else name, *default)

    def to_dict(self: FunctionUrlConfig) -> dict[str, Any]:
        found = described(self)
        return {**found, "FunctionUrl": f"{found['FunctionUrl']}/"}

    patches.set(LambdaResponse, "_get_param", get_param)
    patches.set(FunctionUrlConfig, "to_dict", to_dict)
