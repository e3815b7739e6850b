"""Function URLs of Lambda: requests to a function or an alias, without an API."""

from __future__ import annotations

import json
from typing import Any

from cdk_rehearsal.assembly import Resource
from cdk_rehearsal.authorization.decisions import Denied
from cdk_rehearsal.core import Core
from cdk_rehearsal.policies import Principal
from cdk_rehearsal.services.apis import Endpoint, HttpRequest, HttpResponse, Refused, Route
from cdk_rehearsal.services.functions import PayloadTooLarge, Throttled
from cdk_rehearsal.services.http_formats import (
    Cors,
    as_format_2,
    iam_context,
    interpreted,
    signer_of,
)
from cdk_rehearsal.services.invocation import LambdaService
from cdk_rehearsal.services.tokens import Forbidden

TYPE = "AWS::Lambda::Url"
_JSON = "application/json"
_FORBIDDEN = (
    "Forbidden. For troubleshooting Function URL authorization issues, see: "
    "https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html"
)
_ACTIONS = ("lambda:InvokeFunctionUrl", "lambda:InvokeFunction")


class FunctionUrl(Endpoint[Route]):
    """The URL of a function or an alias; all requests have the route ``$default``.

    https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html
    """

    def __init__(self, core: Core, lambdas: LambdaService, resource: Resource) -> None:
        """Reads the URL from its resource; its creator has checked it."""
        host = resource.attributes["FunctionUrl"].removeprefix("https://")
        super().__init__(
            core, lambdas, resource, host.partition(".")[0], f"lambda-url.{core.region}.on.aws"
        )
        self._function = lambdas.function(resource.physical_id)
        self._auth = resource.properties["AuthType"]
        cors = resource.properties.get("Cors")
        self._cors = Cors(cors) if cors else None
        timeout_s = self._function.timeout_s
        self._route = Route(verb="ANY", path="", function=self._function, timeout_s=timeout_s)
        self.routes = [self._route]

    @property
    def _dimension(self) -> dict[str, str]:
        """https://docs.aws.amazon.com/lambda/latest/dg/urls-monitoring.html."""
        return {"FunctionName": self._function.name}

    def _find(self, request: HttpRequest) -> tuple[Route, dict[str, str]]:
        return self._route, {}

    def _answer(
        self,
        route: Route | None,
        request: HttpRequest,
        parameters: dict[str, str],
        context: dict[str, str],
    ) -> HttpResponse:
        if self._cors and Cors.is_preflight(request.method, request.headers):
            headers = self._cors.headers(request.headers["origin"], preflight=True)
            return HttpResponse(200, {"content-type": _JSON, "vary": "Origin", **headers}, "")
        identity = self._authorized(request)
        event = as_format_2(self._core, self, request)
        event["requestContext"] |= identity
        answer = self._invoked(event)
        if self._cors is not None:
            answer.headers["vary"] = "Origin"
            for name, value in self._cors.headers(
                request.headers.get("origin"), preflight=False
            ).items():
                # With a header of the function there are two, which browsers refuse:
                # https://dev.to/rimutaka/aws-lambda-function-url-with-cors-explained-by-example-14df
                own = answer.headers.get(name)
                answer.headers[name] = value if own is None else f"{own},{value}"
        return answer

    def _authorized(self, request: HttpRequest) -> dict[str, Any]:
        """Returns what the event has of the signer; raises Refused.

        Without a signature anybody has to be permitted. From October 2025 on, a new URL requires
        permissions for both actions: https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html
        """
        core = self._core
        who: Principal | None = core.access.anonymous
        identity: dict[str, Any] = {"accountId": "anonymous"}
        keys = {"lambda:functionurlauthtype": self._auth, "lambda:invokedviafunctionurl": "true"}
        try:
            if self._auth == "AWS_IAM":
                who = signer_of(core, self, request, "lambda")
                identity = {"authorizer": iam_context(who, core.account)}
            if who is not None:
                for action in _ACTIONS:
                    core.access.authorize(who, action, self._function.arn, own=lambda: keys)
        except (Denied, Forbidden):
            refused = Refused(403, _FORBIDDEN, "Message")
            refused.answer.headers["x-amzn-errortype"] = "AccessDeniedException"
            raise refused from None
        return identity

    def _invoked(self, event: dict[str, Any]) -> HttpResponse:
        """Returns the function's answer.

        https://docs.aws.amazon.com/lambda/latest/dg/urls-configuration.html
        """
        try:
            result = self._lambdas.invoke(self._function, json.dumps(event), source=self.path)
        except Throttled as error:
            raise Refused(429, str(error), "Message") from None
        except PayloadTooLarge as error:
            raise Refused(413, str(error), "Message") from None
        answer = None if result.failed else interpreted(result.payload, content_type=_JSON)
        return answer or HttpResponse(502, {"content-type": _JSON}, "Internal Server Error")
