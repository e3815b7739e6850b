"""Copies a cloud assembly for an emulator, without the resources that the emulator does not know.

docs/how-to/check-a-deployed-stage.md says when to use it.
"""

import json
import re
import shutil
from collections.abc import Collection, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any

import typer

from stacks.constructs.packaging import PackagingError
from stacks.environment import BusKind, Shift
from stacks.synthesis import SynthesisError, host_assembly

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


class NotReducible(Exception):
    """What is to be left out is not there, or other resources need it."""


def reduce(source: Path, outdir: Path, unknown: Collection[str]) -> dict[str, list[str]]:
    """Copies the assembly in `source` to `outdir`, which must not exist, without some resources.

    `unknown` has types of resources, such as `AWS::Budgets::Budget`, and types with a property,
    such as `AWS::CloudWatch::Alarm.Metrics`, for the resources that have this property. Returns the
    logical ids of the resources that were left out, by each of these. Raises NotReducible.
    """
    if outdir.exists():
        raise NotReducible(f"{outdir} exists: remove it, or choose another directory")
    left_out: dict[str, list[str]] = {each: [] for each in unknown}
    reduced: dict[str, str] = {}
    for path in sorted(source.glob("*.template.json")):
        template = json.loads(path.read_text())
        gone = {
            logical_id: kind
            for logical_id, resource in template["Resources"].items()
            if (kind := _kind(resource, unknown))
        }
        for logical_id, kind in gone.items():
            left_out[kind].append(logical_id)
        if gone:
            _leave_out(template, gone, path.name)
            reduced[path.name] = json.dumps(template, indent=1)
    if absent := sorted(kind for kind, found in left_out.items() if not found):
        raise NotReducible(f"no template has {', '.join(absent)}: correct it, or do not name it")
    shutil.copytree(source, outdir, symlinks=True)
    for name, text in reduced.items():
        _replace(outdir / name, text)
    return left_out


def _kind(resource: Mapping[str, Any], unknown: Collection[str]) -> str | None:
    """Returns which of the unknown kinds a resource is."""
    kinds = (
        resource["Type"],
        *(f"{resource['Type']}.{name}" for name in resource.get("Properties", ())),
    )
    return next((kind for kind in kinds if kind in unknown), None)


def _leave_out(template: dict[str, Any], gone: Collection[str], where: str) -> None:
    """Removes resources from a template. Raises NotReducible if another one refers to them."""
    resources = template["Resources"]
    for logical_id in gone:
        del resources[logical_id]
    for resource in resources.values():
        before = resource.get("DependsOn", [])
        before = [before] if isinstance(before, str) else before
        if before:
            resource["DependsOn"] = [each for each in before if each not in gone]
    words = set(re.findall(r"\w+", json.dumps(template)))
    if needed := sorted(words.intersection(gone)):
        raise NotReducible(
            f"{where}: {', '.join(needed)}: used by other resources: do not name their types"
        )


def _replace(path: Path, text: str) -> None:
    """Writes a template, and the digest of its text as the name under which it is uploaded."""
    path.write_text(text)
    assets = path.with_name(path.name.replace(".template.", ".assets."))
    files = json.loads(assets.read_text())["files"]
    (old,) = (key for key, file in files.items() if file["source"]["path"] == path.name)
    new = sha256(text.encode()).hexdigest()
    for other in (assets, path.with_name("manifest.json")):
        other.write_text(other.read_text().replace(old, new))


@app.command()
def command(
    outdir: Annotated[Path, typer.Argument(help="Where to write the assembly.")],
    unknown: Annotated[
        list[str], typer.Argument(help="Types, or types with a property: TYPE.PROPERTY.")
    ],
    stage: Annotated[str, typer.Option(help="The stage.")] = "dev",
    bus: Annotated[
        BusKind | None, typer.Option(help="A kind of event bus in place of the stage's.")
    ] = None,
    shift: Annotated[
        Shift | None, typer.Option(help="How traffic shifts, in place of the stage's own way.")
    ] = None,
) -> None:
    """Writes the assembly of a stage for an emulator on this machine, and lists what is left out.

    Ends with 2 if that is not possible.
    """
    try:
        left_out = reduce(host_assembly(stage, bus=bus, shift=shift), outdir, unknown)
    except (NotReducible, PackagingError, SynthesisError, OSError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from None
    for kind, found in left_out.items():
        typer.echo(f"left out: {len(found)} {kind}")


if __name__ == "__main__":
    app(prog_name="python -m tools.smoke.reduced")
