"""Documents: the pages of contexts and of the runbook, and the decisions."""

import ast
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from tools.catalogue.model import Document

BLOCK = re.compile(
    r"^(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)
"""A block of code in a document."""
_RUNBOOK = "docs/runbook.md"
_NOT_IN_ANCHORS = re.compile(r"[^\w\- ]")
_SHELLS = {"", "sh", "bash", "zsh", "shell", "console"}


def blocks(text: str) -> list[str]:
    """Returns the shell blocks of a document, without the indentation of a list."""
    return [
        "\n".join(line.removeprefix(block["indent"]) for line in block["text"].splitlines())
        for block in BLOCK.finditer(text)
        if block["language"] in _SHELLS
    ]


def anchor(heading: str) -> str:
    """Returns the anchor that GitHub gives to a heading. Alarms and pages refer to it."""
    return _NOT_IN_ANCHORS.sub("", heading.strip().lower()).replace(" ", "-")


def purpose(project: Path, context: str) -> str:
    """Returns a context's purpose, from the docstring of its stack's module."""
    code = (project / "stacks" / f"{context}.py").read_text(encoding="utf-8")
    said = (ast.get_docstring(ast.parse(code)) or "").partition("\n")[0]
    return said.partition(": ")[2] or said


def occasions(page: Document) -> Mapping[str, str]:
    """Returns when each event is published, from the table of a context's page."""
    _, _, table = page.text.partition("| publishes | when |\n")
    found: dict[str, str] = {}
    for row in table.partition("\n\n")[0].splitlines()[1:]:
        events, _, when = row.strip("| ").partition(" | ")
        found.update(dict.fromkeys(re.findall(r"`(\w+)`", events), when))
    return found


def of_contexts(project: Path, contexts: Sequence[str]) -> Mapping[str, Document]:
    """Returns the page of each context: the file of that name, or the page whose title names it."""
    pages = [_document(project, path) for path in sorted((project / "docs/contexts").glob("*.md"))]
    return {
        context: page
        for context in contexts
        for page in pages
        if context == page.slug or context in re.findall(r"\w+", page.title.lower())
    }


def failures(project: Path) -> Mapping[str, Document]:
    """Returns the runbook's pages by their anchors, in its order."""
    text = (project / _RUNBOOK).read_text(encoding="utf-8")
    _, *sections = re.split(r"^## ", text, flags=re.MULTILINE)
    found = {}
    for section in sections:
        title, _, rest = section.partition("\n")
        found[anchor(title)] = Document(slug=anchor(title), title=title, text=rest, file=_RUNBOOK)
    return found


def preparation(project: Path) -> str:
    """Returns the commands with which every page of the runbook begins."""
    start, _, _ = (project / _RUNBOOK).read_text(encoding="utf-8").partition("\n## ")
    return "\n".join(blocks(start))


def redrive(queue: str, page: Document, prepared: str) -> str:
    """Returns the runbook's commands that redrive a dead-letter queue, ready to be pasted.

    `page` is the page that the queue's alarm names, and `prepared` the `preparation`. The result is
    empty if the page redrives nothing with a single command.
    """
    context, consumer = queue.split("/")[:2]
    for block in blocks(page.text):
        if block.startswith("make redrive"):
            return block.replace("checkout RunCheckout", f"{context.lower()} {consumer}")
        if "start-message-move-task" in block:
            named = f"CONTEXT={context.lower()} CONSUMER={consumer}"
            commands = f"{prepared}\n{block}"
            return commands.replace("CONTEXT=checkout CONSUMER=RunCheckout", named)
    return ""


def decisions(project: Path) -> tuple[Document, ...]:
    """Returns the decisions in the order of their numbers."""
    return tuple(
        _document(project, path) for path in sorted((project / "docs/decisions").glob("[0-9]*.md"))
    )


def _document(project: Path, path: Path) -> Document:
    title, _, text = path.read_text(encoding="utf-8").partition("\n")
    return Document(
        slug=path.stem,
        title=title.removeprefix("# "),
        text=text,
        file=path.relative_to(project).as_posix(),
    )
