"""A runbook in Markdown: a heading of the second level begins the page of some alarms."""

import re
from pathlib import Path

from cdk_rehearsal.errors import RehearsalError


def runbook_page(runbook: Path, description: str) -> str:
    """Returns the page that an alarm's description names at its end, as `…#anchor`, or none.

    Anchors are those of GitHub. Raises RehearsalError if the file cannot be read.
    """
    slug = description.rpartition("#")[2].strip()
    try:
        text = runbook.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise RehearsalError(f"the runbook cannot be read: {error}: give another file") from error
    for page in text.split("\n## ")[1:]:
        title, _, _ = page.partition("\n")
        if slug == re.sub(r"[^\w -]", "", title).lower().replace(" ", "-"):
            return page.strip()
    return ""
