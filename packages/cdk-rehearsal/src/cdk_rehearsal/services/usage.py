"""Usage plans of REST APIs: API keys with their rates and quotas."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from moto.apigateway.models import apigateway_backends

from cdk_rehearsal.assembly import Resource
from cdk_rehearsal.core import Core
from cdk_rehearsal.rates import Bucket

_FORBIDDEN = (403, "Forbidden")


class Usage:
    """The keys of one stage of an API.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-api-usage-plans.html
    """

    def __init__(self, core: Core, api_id: str, stage: str, resources: Sequence[Resource]) -> None:
        self._core = core
        self._plans: dict[str, Resource] = {}
        """The plan of each key that may use the stage."""
        self._used: dict[tuple[str, str, str], int] = {}
        self._buckets: dict[tuple[str, str], Bucket] = {}
        plans = {
            each.physical_id: each
            for each in resources
            if each.type == "AWS::ApiGateway::UsagePlan"
            and any(
                (part.get("ApiId"), part.get("Stage")) == (api_id, stage)
                for part in each.properties.get("ApiStages", [])
            )
        }
        for each in resources:
            if each.type == "AWS::ApiGateway::UsagePlanKey":
                plan = plans.get(each.properties["UsagePlanId"])
                if plan is not None:
                    self._plans[each.properties["KeyId"]] = plan

    def take(self, value: str | None) -> tuple[int, str] | None:
        """Counts a request with a key; returns status and message if it is refused."""
        keys = apigateway_backends[self._core.account][self._core.region].keys
        key = next((each for each in keys.values() if value and each.value == value), None)
        if key is None or not key.enabled or key.id not in self._plans:
            return _FORBIDDEN
        plan = self._plans[key.id]
        if self._is_too_fast(key.id, plan.physical_id, plan.properties.get("Throttle") or {}):
            return 429, "Too Many Requests"
        if self._is_used_up(key.id, plan.physical_id, plan.properties.get("Quota") or {}):
            return 429, "Limit Exceeded"
        return None

    def _is_too_fast(self, key: str, plan: str, throttle: Mapping[str, Any]) -> bool:
        if (key, plan) not in self._buckets:
            rate, burst = throttle.get("RateLimit"), throttle.get("BurstLimit")
            self._buckets[key, plan] = Bucket(rate, burst, self._core.scheduler.now)
        return not self._buckets[key, plan].take()

    def _is_used_up(self, key: str, plan: str, quota: Mapping[str, Any]) -> bool:
        if "Limit" not in quota:
            return False
        moment = datetime.fromtimestamp(self._core.scheduler.now(), UTC)
        period = moment.strftime({"DAY": "%Y-%m-%d", "WEEK": "%G-%V"}.get(quota["Period"], "%Y-%m"))
        used = self._used.get((key, plan, period), int(quota.get("Offset", 0)))
        self._used[key, plan, period] = used + 1
        return used >= int(quota["Limit"])
