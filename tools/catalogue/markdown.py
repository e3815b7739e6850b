"""Markdown to HTML: links lead to the catalogue's pages, and names in code become links."""

from collections.abc import Callable, Iterator
from pathlib import PurePosixPath

from markdown_it import MarkdownIt
from markdown_it.token import Token

from tools.catalogue.prose import anchor

Resolve = Callable[[str], str | None]
"""Returns the address of a file or name, or None if it has no page."""

_MARKDOWN = MarkdownIt("commonmark").enable("table")


def html(text: str, *, file: str, link: Resolve, name: Resolve) -> str:
    """Returns a page of Markdown as HTML.

    `link` gives the address of a file of the project, with its fragment if there is one; `name`
    that of a name in code. Names in links, and code that is no name, are left as they are.
    """
    tokens = _MARKDOWN.parse(text)
    for place, token in enumerate(tokens):
        if token.type == "heading_open":
            token.attrSet("id", anchor(tokens[place + 1].content))
        if token.children:
            token.children = [*_linked(token.children, file, link, name)]
    rendered: str = _MARKDOWN.renderer.render(tokens, _MARKDOWN.options, {})
    # Wide tables can be scrolled separately, with the keyboard, too.
    return rendered.replace("<table>", '<div class="scroll" tabindex="0"><table>').replace(
        "</table>", "</table></div>"
    )


def line(text: str, *, file: str = "", link: Resolve = str, name: Resolve) -> str:
    """Returns the first paragraph of a docstring or of a line as one line of HTML."""
    paragraph = " ".join(text.partition("\n\n")[0].split())
    tokens = _MARKDOWN.parseInline(paragraph)
    for token in tokens:
        token.children = [*_linked(token.children or [], file, link, name)]
    rendered: str = _MARKDOWN.renderer.render(tokens, _MARKDOWN.options, {})
    return rendered


def _linked(tokens: list[Token], file: str, link: Resolve, name: Resolve) -> Iterator[Token]:
    inside = False
    for token in tokens:
        if token.type == "link_open":
            inside = True
            token.attrSet("href", _target(str(token.attrGet("href")), file, link))
        elif token.type == "link_close":
            inside = False
        address = name(token.content) if token.type == "code_inline" and not inside else None
        if address is None:
            yield token
        else:
            yield Token("link_open", "a", 1, attrs={"href": address})
            yield token
            yield Token("link_close", "a", -1)


def _target(href: str, file: str, link: Resolve) -> str:
    if "://" in href:
        return href
    path, _, fragment = href.partition("#")
    found = str(PurePosixPath(file).parent / path) if path else file
    parts: list[str] = []
    for part in found.split("/"):
        if part == "..":
            parts.pop()
        else:
            parts.append(part)
    target = "/".join(parts) + (f"#{fragment}" if fragment else "")
    return link(target) or target
