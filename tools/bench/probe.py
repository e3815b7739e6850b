"""Imports a module in a fresh interpreter, and prints the cost as JSON.

python -I -S -B probe.py MODULE [PATH]...
"""

import sys
import time


def main() -> None:
    """Measures before it imports anything for the report."""
    module, *paths = sys.argv[1:]
    sys.path[:0] = paths
    if module:
        __import__(module)
    report = {"cpu_s": time.process_time(), "modules": len(sys.modules)}
    report["peak_bytes"] = peak_bytes()
    if module:
        import boto3

        boto3.client("dynamodb")
    report["cpu_with_client_s"] = time.process_time()

    import json

    print(json.dumps(report))


def peak_bytes() -> int:
    """Returns the peak of the resident memory, in bytes.

    Linux: VmHWM, because ru_maxrss of a child starts with its parent's value at the fork
    (https://man7.org/linux/man-pages/man2/getrusage.2.html). Elsewhere ru_maxrss.
    """
    try:
        # pathlib would count as a module of the handler.
        with open("/proc/self/status", encoding="ascii") as status:  # noqa: PTH123
            peak = next(line for line in status if line.startswith("VmHWM:"))
        return int(peak.split()[1]) * 1024
    except FileNotFoundError:
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    main()
