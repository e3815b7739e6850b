"""Synthesis without the CDK command line: the cloud assembly of a stage, made offline."""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from stacks.constructs.packaging import (
    PROJECT,
    PackagingError,
    Target,
    digest_of,
    files_in,
    node,
    prepare,
    put_in_place,
)
from workspace.isolation import allowed

SOURCES = (
    *("app.py", "cdk.json", "requirements.txt", "lambdas", "stacks", "workspace"),
    *(
        f"packages/cdk-rehearsal/src/cdk_rehearsal/{name}"
        for name in ("assembly.py", "topology", "validation.py")
    ),
)
"""Files and packages that decide what is synthesized."""

_QUIET = {"JSII_SILENCE_WARNING_UNTESTED_NODE_VERSION": "1"}
# What is not validated is not explained either: where each construct was created costs an eighth.
_UNTRACED = {"CDK_DISABLE_STACK_TRACE": "1"}

# An error that crosses from JavaScript is told twice: the second time, by Python, says all of it.
_JAVASCRIPT_ERROR = re.compile(
    r"^jsii\.errors\.JavaScriptError:.*?^The above exception was the direct cause[^\n]*\n\n",
    re.DOTALL | re.MULTILINE,
)
_FRAME = re.compile(r'  File "(?P<file>[^"]+)"')
_LIBRARY = re.compile(r"/site-packages/(aws_cdk|cdk_nag|constructs|jsii|typeguard)/|<@?jsii")


class SynthesisError(Exception):
    """The app cannot be synthesized; the message is what it had to say, without library frames."""


def synthesize(
    stage: str,
    outdir: Path,
    *,
    target: Target | str = Target.LAMBDA,
    validation: bool = True,
) -> Path:
    """Run `app.py` for a stage and return `outdir`, which then holds its cloud assembly.

    An older assembly there is replaced. `target` says where the handlers are to run: AWS Lambda,
    or this machine. Without `validation` CDK's own check of the templates is left out, which takes
    most of the time, and so are the places where constructs were created; cdk-nag runs all the
    same.

    Raises SynthesisError, or PackagingError if a deployment package cannot be built.
    """
    target = Target(target)
    prepare(target)
    _clear(outdir)
    environment = {
        **allowed(os.environ),
        **_QUIET,
        **({} if validation else _UNTRACED),
        "CDK_CONTEXT_JSON": json.dumps(_context(stage, target)),
        "CDK_OUTDIR": str(outdir.resolve()),
        "CDK_VALIDATION": str(validation).lower(),
        "JSII_NODE": node(),
        # Synthesis imports handlers: that must leave no bytecode where packages are made from.
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = [sys.executable, str(PROJECT / "app.py")]
    done = subprocess.run(
        command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False
    )
    said = "\n".join(_readable(done.stdout + done.stderr)).strip()
    if done.returncode != 0:
        raise SynthesisError(f"synthesis of stage {stage} failed:\n{said}")
    if said:
        print(said, file=sys.stderr)
    return outdir


def host_assembly(stage: str) -> Path:
    """The cloud assembly of a stage whose handlers run on this machine, as its sources stand now.

    It depends on `SOURCES` and on this machine alone. The first call synthesizes it, without
    validation, which takes ten seconds; one that is there already is found at once. Nobody may
    change anything in it: it serves whoever comes next.

    Raises SynthesisError, or PackagingError if a deployment package cannot be built.
    """
    prepare(Target.HOST)
    directory = _host_directory(stage)
    if directory.is_dir():
        return directory
    with tempfile.TemporaryDirectory(prefix="unfinished-", dir=directory.parent) as scratch:
        made = synthesize(stage, Path(scratch, stage), target=Target.HOST, validation=False)
        if _host_directory(stage) == directory:
            put_in_place(made, directory)
            return directory
    # A source was saved in the meantime: what was made may know of it, or not.
    return host_assembly(stage)


def _host_directory(stage: str) -> Path:
    files = [file for name in SOURCES for file in files_in(PROJECT / name)]
    digest = digest_of(
        *((file.relative_to(PROJECT).as_posix(), file.read_bytes()) for file in files),
        ("target", f"{Target.HOST.platform} {Target.HOST.compiler}".encode()),
        # It names the packages by their absolute paths.
        ("project", str(PROJECT).encode()),
    )
    return PROJECT / ".build" / f"assembly-{stage}-{Target.HOST}-{digest}"


def _context(stage: str, target: Target) -> dict[str, object]:
    """What the CDK command line would hand to the app."""
    settings = json.loads((PROJECT / "cdk.json").read_bytes())
    return {
        **settings["context"],
        "stage": stage,
        "orderflow:target": target.value,
        # Nobody uploads what runs here: the packages in .build serve as they are.
        "aws:cdk:disable-asset-staging": target is Target.HOST,
        "aws:cdk:enable-asset-metadata": True,
        "aws:cdk:enable-path-metadata": True,
        "aws:cdk:version-reporting": settings["versionReporting"],
    }


def _clear(outdir: Path) -> None:
    """Make way for an assembly, so that no stack of an older one is taken for a part of it."""
    if not outdir.exists():
        return
    # A run that failed has left assets, and nothing else.
    if not (outdir / "manifest.json").is_file() and not all(
        path.name.startswith("asset.") for path in outdir.iterdir()
    ):
        raise SynthesisError(f"{outdir} holds something else than a cloud assembly: move it away")
    shutil.rmtree(outdir)


def _readable(output: str) -> Iterator[str]:
    """Lines of output without stack frames of libraries: what is left is the app's own part."""
    skipping = False
    for line in _JAVASCRIPT_ERROR.sub("", output).splitlines():
        if frame := _FRAME.match(line):
            skipping = bool(_LIBRARY.search(frame["file"]))
        elif not line.startswith("    "):
            skipping = False
        if not skipping:
            yield line


def main() -> None:
    """Synthesize stages, each into a directory of its own name."""
    parser = argparse.ArgumentParser(prog=__spec__.name, description=main.__doc__)
    parser.add_argument("--stage", action="append", required=True)
    parser.add_argument("--out", type=Path, default=PROJECT / "cdk.out")
    parser.add_argument("--target", default="lambda", choices=[target.value for target in Target])
    parser.add_argument("--no-validation", dest="validation", action="store_false")
    options = parser.parse_args()

    def run(stage: str) -> str:
        started = time.monotonic()
        outdir = synthesize(
            stage, options.out / stage, target=options.target, validation=options.validation
        )
        templates = len(list(outdir.glob("*.template.json")))
        return f"{stage}: {templates} templates in {outdir} ({time.monotonic() - started:.1f} s)"

    try:
        prepare(Target(options.target))
        with ThreadPoolExecutor() as pool:
            for line in pool.map(run, options.stage):
                print(line)
    except (PackagingError, SynthesisError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
