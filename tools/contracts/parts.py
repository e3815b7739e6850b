"""The parts that the OpenAPI and the AsyncAPI document have in common."""

import inspect
import json
from pathlib import Path
from string import Template
from typing import Any

import yaml

SCHEMAS = "#/components/schemas/"


class Undocumented(ValueError):
    """A class, handler or route says too little to document it, or contradicts its template."""


def skeleton(name: str, **values: object) -> dict[str, Any]:
    """Returns the constant part of a document from `name`.yaml, with these values filled in."""
    text = Path(__file__).with_name(f"{name}.yaml").read_text(encoding="utf-8")
    document: dict[str, Any] = yaml.safe_load(Template(text).safe_substitute(values))
    return document


def referring(schema: Any) -> Any:
    """Returns a schema that refers to the document's components instead of its own definitions."""
    return json.loads(json.dumps(schema).replace('"#/$defs/', f'"{SCHEMAS}'))


def words(documented: Any) -> tuple[str, str]:
    """Returns the first line of a docstring without its period, and the rest as paragraphs.

    Raises Undocumented if there is no docstring.
    """
    first, _, rest = (inspect.getdoc(documented) or "").partition("\n")
    if not first:
        raise Undocumented(f"{documented} has no docstring")
    paragraphs = [" ".join(part.split()) for part in rest.split("\n\n")]
    return first.removesuffix("."), "\n\n".join(filter(None, paragraphs))
