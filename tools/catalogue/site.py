"""Renders the pages of the catalogue."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby, takewhile
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup

from tools.catalogue import drawing, markdown
from tools.catalogue.durations import spoken
from tools.catalogue.files import Files
from tools.catalogue.graphviz import graphs_of
from tools.catalogue.model import (
    AlarmSummary,
    Document,
    FunctionPage,
    QueuePage,
    System,
    WorkflowState,
)

_HERE = Path(__file__).parent

_WORDS = re.compile(r"(?<=/)|(?<=[a-z0-9])(?=[A-Z])")

SECTIONS = ("events", "contexts", "functions", "queues", "workflows", "failures", "decisions")


@dataclass(frozen=True)
class IndexEntry:
    """The name and the address of something that has a page or an anchor."""

    name: str
    kind: str
    context: str
    address: str
    """Relative to the catalogue's root."""


def render(system: System, *, source: str, faults: str = "") -> Files:
    """Returns the files of the site by their paths; the same system gives the same files.

    `source` is the address of the project's files, with a final slash, and `faults` that of the
    fault matrix, if there is one.
    """
    return dict(sorted(_Site(system, source, faults).files()))


def event_map(system: System) -> str:
    """Returns the map of events as a picture that can be read on a phone."""
    return _Site(system, "").picture("event-map.svg")


class _Site:
    def __init__(self, system: System, source: str, faults: str = "") -> None:
        self._system = system
        self._source = source
        self._templates = Environment(
            loader=FileSystemLoader(_HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
        )
        self._templates.filters["breakable"] = breakable
        self._templates.globals |= {
            "system": system,
            "sections": SECTIONS,
            "faults": faults,
            "entry": self._entries.get,
            "grouped": grouped,
            "named": named,
            "timed": timed,
            "within": _within,
            **{
                helper.__name__: helper
                for helper in (
                    *(self.href, self.file, self.html, self.line),
                    *(self.allowed, self.callers, self.parked),
                )
            },
        }

    def files(self) -> Iterator[tuple[str, str]]:
        """Yields all files, in no particular order."""
        system = self._system
        yield "index.html", self._page("index.html", "index.html", map=drawing.map_of(system))
        for section in SECTIONS:
            path = f"{section}/index.html"
            yield path, self._page(path, f"{section}.html")
        for event in system.events.values():
            yield self._own_page(event.name, "event.html", event=event)
        for context in system.contexts:
            yield self._own_page(
                f"context {context}",
                "context.html",
                context=context,
                map=drawing.map_of(system, context),
                document=system.prose.get(context),
            )
        for function in system.functions.values():
            yield self._own_page(function.path, "function.html", function=function)
        for queue in system.queues.values():
            yield self._own_page(queue.path, "queue.html", queue=queue)
        yield from self._workflows()
        for failure in system.failures.values():
            yield self._own_page(f"failure {failure.slug}", "failure.html", failure=failure)
        for decision in system.decisions:
            yield self._own_page(f"decision {decision.slug}", "decision.html", decision=decision)
        yield from self._assets()

    def _workflows(self) -> Iterator[tuple[str, str]]:
        workflows = [*self._system.workflows.values()]
        graphs = graphs_of(workflows, self._note)
        for workflow, graph in zip(workflows, graphs, strict=True):
            yield self._own_page(workflow.path, "workflow.html", workflow=workflow, graph=graph)

    def _note(self, state: WorkflowState) -> str:
        """Returns the context and name of the function that a state calls."""
        if state.function is None:
            return ""
        function = self._system.functions[state.function]
        return f"{function.context} · {function.name}"

    def picture(self, template: str) -> str:
        """Returns a picture that needs no page around it."""
        map_ = drawing.map_of(self._system, format_=drawing.PICTURE)
        return self._page(template, template, map=map_, hues=self._hues)

    @property
    def _hues(self) -> Mapping[str, int]:
        contexts = self._system.contexts
        return {context: 360 * place // len(contexts) for place, context in enumerate(contexts)}

    def _assets(self) -> Iterator[tuple[str, str]]:
        yield "catalogue.css", self._templates.get_template("catalogue.css").render(hues=self._hues)
        yield "catalogue.js", (_HERE / "static" / "catalogue.js").read_text(encoding="utf-8")
        index = [[entry.name, entry.kind, entry.context, entry.address] for entry in self._found]
        lines = ",\n".join(json.dumps(entry, ensure_ascii=False) for entry in index)
        yield "search.js", f"window.catalogue = [\n{lines}\n];\n"

    # Addresses

    @cached_property
    def _entries(self) -> Mapping[str, IndexEntry]:
        """Everything that can be linked to, by event name, path, or kind and name."""
        return {key: IndexEntry(*entry) for key, *entry in self._listed()}

    def _listed(self) -> Iterator[tuple[str, str, str, str, str]]:
        """Yields the key of each entry, then its name, kind, context and address."""
        system = self._system
        for event in system.events.values():
            yield event.name, event.name, "event", event.context, f"events/{event.name}.html"
        for name in system.contexts:
            yield f"context {name}", name, "context", name, f"contexts/{name}.html"
        for function in system.functions.values():
            address = _address("functions", function.path)
            yield function.path, function.name, "function", function.context, address
        for queue in system.queues.values():
            kind = "dead-letter queue" if queue.dead_letter else "queue"
            address = _address("queues", queue.path)
            yield queue.path, _within(queue.path), kind, queue.context, address
        for workflow in system.workflows.values():
            address = _address("workflows", workflow.path)
            yield workflow.path, _within(workflow.path), "workflow", workflow.context, address
        for kind, pages in (("failure", system.failures.values()), ("decision", system.decisions)):
            for page in pages:
                yield f"{kind} {page.slug}", page.title, kind, "", f"{kind}s/{page.slug}.html"
        for each in system.owned.values():
            address = f"contexts/{each.context}.html#{each.path}"
            yield each.path, _within(each.path), each.kind, each.context, address

    @property
    def _found(self) -> list[IndexEntry]:
        """The entries of the search, without subscriptions, which have generated names."""
        return [entry for entry in self._entries.values() if entry.kind != "subscription"]

    @cached_property
    def _named(self) -> Mapping[str, str]:
        """Addresses of events and functions by their plain names, without ambiguous ones."""
        known: dict[str, set[str]] = {}
        for entry in self._entries.values():
            if entry.kind in {"event", "function"}:
                known.setdefault(entry.name, set()).add(entry.address)
        latest = sorted(self._system.events.values(), key=lambda event: event.name)
        for event in latest:
            known[event.name.partition(".")[0]] = {self._entries[event.name].address}
        return {name: min(where) for name, where in known.items() if len(where) == 1}

    @cached_property
    def _documents(self) -> Mapping[str, str]:
        """Addresses of the pages that show documents, by file."""
        system, entries = self._system, self._entries
        own = {context: page for context, page in system.prose.items() if context == page.slug}
        return {
            **{page.file: entries[f"context {context}"].address for context, page in own.items()},
            **{page.file: entries[f"decision {page.slug}"].address for page in system.decisions},
            **{
                f"{page.file}#{page.slug}": entries[f"failure {page.slug}"].address
                for page in system.failures.values()
            },
            "docs/runbook.md": "failures/index.html",
        }

    # Pages

    def _own_page(self, key: str, template: str, **given: Any) -> tuple[str, str]:
        path = self._entries[key].address
        return path, self._page(path, template, **given)

    def _page(self, path: str, template: str, **given: Any) -> str:
        return self._templates.get_template(template).render(
            section=path.partition("/")[0], root="../" * path.count("/"), **given
        )

    # Functions of templates

    @pass_context
    def href(self, context: Context, key: str) -> str:
        """Returns the address of an entry. Raises KeyError if it does not exist."""
        return str(context["root"]) + self._entries[key].address

    def file(self, path: str) -> str:
        """Returns the address of a file of the project."""
        return f"{self._source}{path}"

    @pass_context
    def html(self, context: Context, document: Document) -> Markup:
        """Returns a document's text as HTML."""
        resolve = self._resolvers(context["root"])
        return Markup(markdown.html(document.text, file=document.file, **resolve))  # noqa: S704 - the renderer has escaped it

    @pass_context
    def line(self, context: Context, text: str, file: str = "") -> Markup:
        """Returns the first paragraph of a docstring, or a line of a document, as HTML."""
        resolve = self._resolvers(context["root"])
        return Markup(markdown.line(text, file=file, **resolve))  # noqa: S704 - as above

    def _resolvers(self, root: str) -> Mapping[str, markdown.Resolve]:
        def link(target: str) -> str:
            path, hash_, fragment = target.partition("#")
            if target in self._documents:
                return root + self._documents[target]
            if path in self._documents:
                return root + self._documents[path] + hash_ + fragment
            return self.file(target)

        def name(code: str) -> str | None:
            return root + self._named[code] if code in self._named else None

        return {"link": link, "name": name}

    def allowed(self, path: str) -> list[tuple[FunctionPage, tuple[str, ...]]]:
        """Returns the functions that may use a resource, and their permitted actions."""
        return [
            (function, actions)
            for function in self._system.functions.values()
            if (
                actions := tuple(
                    action.partition(":")[2]
                    for grant in function.grants
                    if grant.resource == path or grant.resource.startswith(f"{path}/")
                    for action in grant.actions
                )
            )
        ]

    def callers(self, path: str) -> list[tuple[str, str]]:
        """Returns the workflows that call a function, each with the calling state."""
        return [
            (workflow.path, state.name)
            for workflow in self._system.workflows.values()
            for state in workflow.states
            if state.function == path
        ]

    def parked(self, queue: QueuePage) -> list[str]:
        """Returns the events that may be parked in a dead-letter queue."""
        return sorted(
            {
                name
                for edge in queue.parks
                if edge.target in self._system.functions
                for name in self._system.functions[edge.target].consumes
            }
        )


def grouped(alarms: list[AlarmSummary]) -> list[tuple[AlarmSummary, list[AlarmSummary]]]:
    """Returns alarms grouped by their conditions: the first one of each group, and all of them."""
    ordered = sorted(alarms, key=lambda alarm: (alarm.condition, alarm.path))
    return [
        (members[0], members)
        for _, group in groupby(ordered, key=lambda alarm: alarm.condition)
        if (members := [*group])
    ]


def named(alarms: list[AlarmSummary]) -> list[str]:
    """Returns the names of alarms; of several with one ending, only what they share, after `…`."""
    paths: dict[str, list[str]] = {}
    for alarm in alarms:
        paths.setdefault(alarm.path.rpartition("/")[2], []).append(alarm.path)
    return [_shared(found) for _, found in sorted(paths.items())]


def _shared(paths: list[str]) -> str:
    """Returns the parts with which all paths end."""
    first, *others = (path.split("/")[::-1] for path in paths)
    if not others:
        return paths[0]
    parts = takewhile(lambda column: len({*column}) == 1, zip(first, *others, strict=False))
    return "/".join(["…", *[part for part, *_ in parts][::-1]])


def breakable(name: str) -> Markup:
    """Returns a name that a narrow window breaks between its words."""
    return Markup("<wbr>").join(_WORDS.split(name))


def timed(text: str) -> str:
    """Returns a text with its seconds converted: edges give their limits in seconds."""
    return re.sub(r"\b(\d+) s\b", lambda match: spoken(match[1]), text)


def _within(path: str) -> str:
    """Returns a path without its stack."""
    return path.partition("/")[2]


def _address(section: str, path: str) -> str:
    return f"{section}/{path.replace('/', '.')}.html"
