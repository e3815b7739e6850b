"""Draws workflows with Graphviz, which is installed from npm as WebAssembly."""

import json
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from stacks.constructs.packaging import node
from tools.catalogue.model import Transition, WorkflowPage, WorkflowState
from workspace.isolation import PROJECT

_SCRIPT = Path(__file__).with_name("graphviz.mjs")
_NAME_WIDTH = 7.6
"""The approximate maximum width of a letter in a state's name, in points."""
_NOTE_WIDTH = 6.6
_POINTS_PER_INCH = 72

Notes = Callable[[WorkflowState], str]
"""Returns the second line of a state."""


class LayoutError(Exception):
    """Graphviz could not be run or refused a graph; the message contains its output."""


class Point(NamedTuple):
    """A position in points from the upper left corner."""

    x: int
    y: int


@dataclass(frozen=True)
class Node:
    """A state with its centre and size."""

    state: WorkflowState
    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True)
class Arrow:
    """A transition with its path, and the centre of its label."""

    transition: Transition
    path: str
    label: Point | None


@dataclass(frozen=True)
class Graph:
    """A workflow with the positions of its states and transitions."""

    width: int
    height: int
    nodes: tuple[Node, ...]
    arrows: tuple[Arrow, ...]


def graphs_of(workflows: Sequence[WorkflowPage], notes: Notes) -> list[Graph]:
    """Returns the workflows as graphs, from one run of Node.js. Raises LayoutError."""
    if not (PROJECT / "node_modules/@viz-js/viz").is_dir():
        raise LayoutError("node_modules/@viz-js/viz is missing: run `make setup`")
    done = subprocess.run(
        [node(), str(_SCRIPT)],
        input=json.dumps([_undrawn(workflow, notes) for workflow in workflows]),
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        cwd=PROJECT,
    )
    if done.returncode != 0:
        raise LayoutError(f"Graphviz failed:\n{done.stderr.strip()}")
    drawn = json.loads(done.stdout)
    return [_graph(*each, notes) for each in zip(workflows, drawn, strict=True)]


def _undrawn(workflow: WorkflowPage, notes: Notes) -> dict[str, Any]:
    """Returns a workflow as input of viz.js: https://viz-js.com/api/#viz.Graph."""
    nodes = []
    for state in workflow.states:
        width, height = (round(each / _POINTS_PER_INCH, 3) for each in _size(state, notes))
        nodes.append({"name": state.name, "attributes": {"width": width, "height": height}})
    return {
        "graphAttributes": {"ranksep": 0.45, "nodesep": 0.5, "margin": 0, "pad": 0.2},
        "nodeAttributes": {"shape": "box", "fixedsize": True, "label": ""},
        "edgeAttributes": {"fontname": "Helvetica", "fontsize": 14},
        "nodes": nodes,
        "edges": [
            {
                "tail": each.source,
                "head": each.target,
                "attributes": {"id": place, "label": each.label.replace(", ", ",\n")},
            }
            for place, each in enumerate(workflow.transitions)
        ],
    }


def _size(state: WorkflowState, notes: Notes) -> tuple[int, int]:
    note = notes(state)
    letters = max(len(state.name) * _NAME_WIDTH, len(note) * _NOTE_WIDTH)
    return round(letters + 36), 52 if note else 36


def _graph(workflow: WorkflowPage, drawn: dict[str, Any], notes: Notes) -> Graph:
    width, height = (float(length) for length in drawn["bb"].split(",")[2:])

    def point(text: str) -> Point:
        # Graphviz counts from the lower left corner. Whole points are precise enough and stable.
        x, y = map(float, text.split(","))
        return Point(round(x), round(height - y))

    def path(spline: str) -> str:
        """Returns a path: https://graphviz.org/docs/attr-types/splineType/."""
        parts = spline.split()
        (x, y), *bends = (point(part) for part in parts if part[:2] not in {"e,", "s,"})
        ends = [point(part[2:]) for part in parts if part[:2] == "e,"]
        tip = ends[0] if ends else bends[-1]
        return f"M{x} {y}C{' '.join(f'{x} {y}' for x, y in bends)}L{tip.x} {tip.y}"

    centres = {each["name"]: point(each["pos"]) for each in drawn["objects"] if "pos" in each}
    edges = sorted(drawn.get("edges", []), key=lambda edge: int(edge["id"]))
    return Graph(
        width=round(width),
        height=round(height),
        nodes=tuple(
            Node(state, *centres[state.name], *_size(state, notes)) for state in workflow.states
        ),
        arrows=tuple(
            Arrow(transition, path(edge["pos"]), point(edge["lp"]) if "lp" in edge else None)
            for transition, edge in zip(workflow.transitions, edges, strict=True)
        ),
    )
