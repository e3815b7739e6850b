"""Runs in an interpreter of its own: imports a module, and prints what that cost as JSON.

python -I -S -B probe.py MODULE [PATH]...
"""

import sys
import time


def main() -> None:
    """Import first, then look: nothing that the report itself needs may count."""
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
    """The most memory that was resident at once, in bytes.

    Linux: VmHWM, since ru_maxrss of a child begins with what its parent had at the fork
    (https://man7.org/linux/man-pages/man2/getrusage.2.html). Elsewhere ru_maxrss.
    """
    try:
        # pathlib would count as one of the modules that the handler brought.
        with open("/proc/self/status", encoding="ascii") as status:  # noqa: PTH123
            peak = next(line for line in status if line.startswith("VmHWM:"))
        return int(peak.split()[1]) * 1024
    except FileNotFoundError:
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    main()
