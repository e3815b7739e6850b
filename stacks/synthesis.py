"""Synthesis without the CDK command line: makes the cloud assembly of a stage, offline."""

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
from typing import get_args

from stacks.constructs.packaging import (
    PackagingError,
    Target,
    digest_of,
    files_in,
    node,
    prepare,
    put_in_place,
)
from stacks.environment import BusKind, Environment, Shift, environment_named
from workspace.isolation import PROJECT, allowed

SOURCES = (
    *("app.py", "cdk.json", "requirements.txt", "lambdas", "stacks", "workspace"),
    *(
        f"packages/cdk-rehearsal/src/cdk_rehearsal/{name}"
        for name in ("assembly.py", "topology", "validation.py")
    ),
)
"""Files and packages on which the assembly depends."""

_QUIET = {"JSII_SILENCE_WARNING_UNTESTED_NODE_VERSION": "1"}
# Only validation needs stack traces of constructs, which take an eighth of the time.
_UNTRACED = {"CDK_DISABLE_STACK_TRACE": "1"}

# jsii reports an error twice. The second report, by Python, is complete.
_JAVASCRIPT_ERROR = re.compile(
    r"^jsii\.errors\.JavaScriptError:.*?^The above exception was the direct cause[^\n]*\n\n",
    re.DOTALL | re.MULTILINE,
)
_FRAME = re.compile(r'  File "(?P<file>[^"]+)"')
_LIBRARY = re.compile(r"/site-packages/(aws_cdk|cdk_nag|constructs|jsii|typeguard)/|<@?jsii")


class SynthesisError(Exception):
    """The app cannot be synthesized; the message is its output, without library frames."""


def synthesize(
    stage: str,
    outdir: Path,
    *,
    target: Target | str = Target.LAMBDA,
    validation: bool = True,
    app: Path = PROJECT / "app.py",
    bus: str | None = None,
    shift: str | None = None,
) -> Path:
    """Runs `app` for a stage and returns `outdir`, which then contains its cloud assembly.

    It replaces an older assembly there. `target` is where the handlers run: AWS Lambda or this
    machine. Without `validation`, the CDK does not check the templates, which takes most of the
    time, and does not record where constructs were created. cdk-nag always runs, unless `app` is
    another script than `app.py` and leaves it out. `bus` is a kind of event bus in place of the
    stage's own, and `shift` is how its traffic shifts.

    Raises SynthesisError, or PackagingError if a deployment package cannot be built.
    """
    target = Target(target)
    prepare(target)
    _clear(outdir)
    environment = {
        **allowed(os.environ),
        **_QUIET,
        **({} if validation else _UNTRACED),
        "CDK_CONTEXT_JSON": json.dumps(_context(stage, target, bus=bus, shift=shift)),
        "CDK_OUTDIR": str(outdir.resolve()),
        "CDK_VALIDATION": str(validation).lower(),
        "JSII_NODE": node(),
        # Synthesis imports handlers, and must not leave bytecode among the sources of packages.
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = [sys.executable, str(app)]
    done = subprocess.run(
        command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False
    )
    said = "\n".join(_readable(done.stdout + done.stderr)).strip()
    if done.returncode != 0:
        raise SynthesisError(f"synthesis of stage {stage} failed:\n{said}")
    if said:
        print(said, file=sys.stderr)
    return outdir


def host_assembly(stage: str, *, bus: str | None = None, shift: Shift | None = None) -> Path:
    """Returns the current cloud assembly of a stage whose handlers run on this machine.

    It depends only on `SOURCES` and on this machine. The first call synthesizes it without
    validation, which takes ten seconds; later calls reuse it. Do not change files in it. `bus` and
    `shift` are in place of the stage's own.

    Raises SynthesisError, or PackagingError if a deployment package cannot be built.
    """
    own = _known(stage, bus)
    # The same assembly as without a name.
    bus = None if bus == own.bus else bus
    shift = None if shift == own.shift else shift
    prepare(Target.HOST)
    directory = _host_directory(stage, bus, shift)
    if directory.is_dir():
        return directory
    with tempfile.TemporaryDirectory(prefix="unfinished-", dir=directory.parent) as scratch:
        made = synthesize(
            stage,
            Path(scratch, stage),
            target=Target.HOST,
            validation=False,
            bus=bus,
            shift=shift,
        )
        if _host_directory(stage, bus, shift) == directory:
            put_in_place(made, directory)
            return directory
    # A source was saved in the meantime, and the assembly may or may not include it.
    return host_assembly(stage, bus=bus, shift=shift)


def _known(stage: str, bus: str | None) -> Environment:
    """Returns a stage as it is. Raises SynthesisError for an unknown stage or kind of bus."""
    try:
        environment_named(stage, bus=bus)
        return environment_named(stage)
    except ValueError as error:
        raise SynthesisError(str(error)) from None


def _host_directory(stage: str, *settings: str | None) -> Path:
    files = [file for name in SOURCES for file in files_in(PROJECT / name)]
    digest = digest_of(
        *((file.relative_to(PROJECT).as_posix(), file.read_bytes()) for file in files),
        ("target", f"{Target.HOST.platform} {Target.HOST.compiler}".encode()),
        # The assembly contains absolute paths of packages.
        ("project", str(PROJECT).encode()),
    )
    name = "-".join(["assembly", stage, *filter(None, settings), Target.HOST, digest])
    return PROJECT / ".build" / name


def _context(stage: str, target: Target, **settings_of_stage: str | None) -> dict[str, object]:
    """Returns the context that the CDK command line would pass to the app."""
    settings = json.loads((PROJECT / "cdk.json").read_bytes())
    return {
        **settings["context"],
        "stage": stage,
        **{name: value for name, value in settings_of_stage.items() if value},
        "orderflow:target": target.value,
        # Nothing is uploaded from here, so packages in .build need no copy.
        "aws:cdk:disable-asset-staging": target is Target.HOST,
        "aws:cdk:enable-asset-metadata": True,
        "aws:cdk:enable-path-metadata": True,
        "aws:cdk:version-reporting": settings["versionReporting"],
    }


def _clear(outdir: Path) -> None:
    """Removes an older assembly, so that no stack of it remains. Raises SynthesisError."""
    if not outdir.exists():
        return
    # A failed synthesis leaves only assets.
    if not (outdir / "manifest.json").is_file() and not all(
        path.name.startswith("asset.") for path in outdir.iterdir()
    ):
        raise SynthesisError(f"{outdir} is not a cloud assembly: move it away")
    shutil.rmtree(outdir)


def _readable(output: str) -> Iterator[str]:
    """Yields the lines of output without stack frames of libraries."""
    skipping = False
    for line in _JAVASCRIPT_ERROR.sub("", output).splitlines():
        if frame := _FRAME.match(line):
            skipping = bool(_LIBRARY.search(frame["file"]))
        elif not line.startswith("    "):
            skipping = False
        if not skipping:
            yield line


def main() -> None:
    """Synthesizes stages, each into a directory of its own name."""
    parser = argparse.ArgumentParser(prog=__spec__.name, description=main.__doc__)
    parser.add_argument("--stage", action="append", required=True)
    parser.add_argument("--out", type=Path, default=PROJECT / "cdk.out")
    parser.add_argument("--target", default="lambda", choices=[target.value for target in Target])
    parser.add_argument("--bus", choices=get_args(BusKind), help="a kind in place of the stage's")
    parser.add_argument("--shift", choices=get_args(Shift), help="a shift in place of the stage's")
    parser.add_argument("--no-validation", dest="validation", action="store_false")
    options = parser.parse_args()

    def run(stage: str) -> str:
        started = time.monotonic()
        outdir = synthesize(
            stage,
            options.out / stage,
            target=options.target,
            validation=options.validation,
            bus=options.bus,
            shift=options.shift,
        )
        templates = len(list(outdir.glob("*.template.json")))
        return f"{stage}: {templates} templates in {outdir} ({time.monotonic() - started:.1f} s)"

    try:
        for stage in options.stage:
            # The app itself reports an unknown stage only after seconds.
            _known(stage, options.bus)
        prepare(Target(options.target))
        with ThreadPoolExecutor() as pool:
            for line in pool.map(run, options.stage):
                print(line)
    except (PackagingError, SynthesisError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
