"""Layouts by Graphviz, which is installed from npm as WebAssembly."""

import json
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stacks.constructs.packaging import node
from workspace.isolation import PROJECT

_SCRIPT = Path(__file__).with_name("graphviz.mjs")
_INCH = 72

Point = tuple[float, float]


class LayoutError(Exception):
    """Graphviz could not be run or refused a graph; the message contains its output."""


@dataclass(frozen=True)
class Box:
    """The centre of a node or label, in points from the upper left corner."""

    x: float
    y: float


@dataclass(frozen=True)
class Curve:
    """An edge: start, three points for each Bézier curve, tip, and centre of the label."""

    points: tuple[Point, ...]
    tip: Point
    label: Box | None


@dataclass(frozen=True)
class Layout:
    """A graph with positions: nodes by name, and edges in the order of their numeric ids."""

    width: float
    height: float
    nodes: dict[str, Box]
    edges: tuple[Curve, ...]


def lay_out(graphs: Sequence[str]) -> list[Layout]:
    """Returns the layouts of graphs in the DOT language, from one run of Node.js.

    Raises LayoutError.
    """
    if not (PROJECT / "node_modules/@viz-js/viz").is_dir():
        raise LayoutError("node_modules/@viz-js/viz is missing: run `make setup`")
    done = subprocess.run(
        [node(), str(_SCRIPT)],
        input=json.dumps(graphs),
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        cwd=PROJECT,
    )
    if done.returncode != 0:
        raise LayoutError(f"Graphviz failed:\n{done.stderr.strip()}")
    return [_layout(drawn) for drawn in json.loads(done.stdout)]


def _layout(drawn: dict[str, Any]) -> Layout:
    _, _, width, height = _numbers(drawn["bb"].split(","))

    def turned(x: float, y: float) -> Point:
        # Graphviz counts from the lower left corner. Whole points are precise enough and stable.
        return round(x), round(height - y)

    edges = sorted(drawn.get("edges", []), key=lambda edge: int(edge["id"]))
    return Layout(
        width=round(width),
        height=round(height),
        nodes={
            each["name"]: Box(*turned(*_numbers(each["pos"].split(","))))
            for each in drawn["objects"]
            if "pos" in each
        },
        edges=tuple(
            Curve(
                points=tuple(turned(*point) for point in _points(edge["pos"])),
                tip=turned(*_tip(edge["pos"])),
                label=Box(*turned(*_numbers(edge["lp"].split(",")))) if "lp" in edge else None,
            )
            for edge in edges
        ),
    )


def _points(position: str) -> list[list[float]]:
    """Returns the points of a spline: https://graphviz.org/docs/attr-types/splineType/."""
    return [
        _numbers(part.split(",")) for part in position.split() if not part.startswith(("e,", "s,"))
    ]


def _tip(position: str) -> list[float]:
    for part in position.split():
        if part.startswith("e,"):
            return _numbers(part.split(",")[1:])
    return _points(position)[-1]


def _numbers(parts: Iterable[str]) -> list[float]:
    return [float(part) for part in parts]
