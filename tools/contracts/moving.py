"""The mapping for `cdk refactor`, which keeps resources that a change merely moves, and its steps.

The command is in preview. https://docs.aws.amazon.com/cdk/v2/guide/ref-cli-cmd-refactor.html
"""

import json
from pathlib import Path

from cdk_rehearsal import Assembly
from cdk_rehearsal.topology import Moves, moves
from workspace.isolation import PROJECT

UNKNOWN = ("ACCOUNT", "REGION")
"""Stands for an environment that the stacks do not name: the reader replaces both words."""

_MOST_STACKS = 5
"""The limit of stacks in one refactor.

https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/stack-refactoring.html
"""


FOLDER = PROJECT / ".build"
"""Where `make refactor` looks for mappings."""


def write(before: Assembly, after: Assembly, stage: str, folder: Path = FOLDER) -> str:
    """Writes the mapping for the moved resources of a change and returns the steps, in Markdown.

    The mapping is in `refactor-STAGE.json` in the folder. If none of the resources has data, it
    removes an older mapping and returns an empty text.
    """
    file = folder / f"refactor-{stage}.json"
    found = moves(before, after)
    if not found.keeps_data:
        file.unlink(missing_ok=True)
        return ""
    account, region = next(
        ((each.account, each.region) for each in after.stacks if each.account and each.region),
        UNKNOWN,
    )
    group = {"account": account, "region": region, "resources": found.mapping}
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"environments": [group]}, indent=2) + "\n", encoding="utf-8")
    shown = file.relative_to(PROJECT) if file.is_relative_to(PROJECT) else file
    steps = _steps(found, before, stage, f"{shown}", named=(account, region) != UNKNOWN)
    numbered = "\n".join(f"{number}. {step}" for number, step in enumerate(steps, 1))
    return f"\n#### Keep what merely moves\n\n{numbered}\n"


def _steps(found: Moves, before: Assembly, stage: str, file: str, *, named: bool) -> list[str]:
    stacks = {each.before.stack_name for each in found.mere}
    stacks |= {each.after.stack_name for each in found.mere}
    new = sorted(stacks - {*before.stack_names.values()})
    command = f"make refactor STAGE={stage}"
    return [
        *(
            ["Put the moves into a commit of their own, and run `make review` on it again."]
            if not found.alone
            else []
        ),
        *(
            [f"Deploy the new stacks first, with another resource: {', '.join(new)}."]
            if new
            else []
        ),
        *(
            [f"Split the move: one refactor has at most {_MOST_STACKS} stacks."]
            if len(stacks) > _MOST_STACKS
            else []
        ),
        *([f"Add the ambiguous resources to `{file}`."] if found.twins else []),
        *([f"Replace ACCOUNT and REGION in `{file}`."] if not named else []),
        f"Check out the commit with the moves. `{command} ARGS=--dry-run` compares it with the "
        "deployed stacks, and refuses any other difference.",
        f"`{command}` moves the resources and deploys the commit.",
        "Deploy the other changes. Until then, acknowledge the findings about moved resources.",
    ]
