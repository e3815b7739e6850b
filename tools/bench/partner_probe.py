"""Calls a local host with the payment provider's client, and prints the cost as JSON.

python -I -S -B partner_probe.py PORT AUTHORITY CALLS [PATH]...
"""

import json
import os
import sys
import time
from collections.abc import Callable
from functools import partial


def cost(action: Callable[[], object]) -> dict[str, float]:
    """Returns the milliseconds of an action: of CPU, and by the clock."""
    cpu, wall = time.process_time(), time.perf_counter()
    action()
    return {
        "cpu_ms": (time.process_time() - cpu) * 1e3,
        "wall_ms": (time.perf_counter() - wall) * 1e3,
    }


def main() -> None:
    """Measures what a handler does before its first call, and then its calls."""
    port, authority, calls, *paths = sys.argv[1:]
    sys.path[:0] = paths
    __import__("lambdas.payments.authorize_payment")
    loaded = len(sys.modules)
    report: dict[str, object] = {
        "import": cost(lambda: __import__("lambdas.payments.stripe_provider")),
        "modules": len(sys.modules) - loaded,
    }

    from lambdas.eventing import https
    from lambdas.payments import stripe_provider

    report["trust"] = cost(https._trust)  # The system's authorities, as in Lambda.
    https._trust.cache_clear()
    os.environ["SSL_CERT_FILE"] = authority
    https._trust()
    https.request = partial(https.request, address="127.0.0.1", port=int(port))
    vars(stripe_provider)["secret"] = lambda _: "sk_test_1"
    provider = stripe_provider.StripeProvider("arn")

    def call() -> None:
        if provider.order_of("pi_1") != "order-1":
            raise AssertionError("the host's answer was not read")

    report["first_call"] = cost(call)
    report["calls"] = [cost(call) for _ in range(int(calls))]
    print(json.dumps(report))


if __name__ == "__main__":
    main()
