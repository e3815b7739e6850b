"""Finds a browser on this machine: Chromium or Chrome."""

import os
import shutil

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
MAC = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"
ADVICE = (
    "no Chromium or Chrome here: install one (Debian: apt-get install chromium), "
    "or name it in the variable CHROMIUM"
)


def browser() -> str | None:
    """Returns the path of a browser, if there is one."""
    named = os.environ.get("CHROMIUM")
    found = [named] if named else [shutil.which(name) for name in (*NAMES, MAC)]
    return next((path for path in found if path), None)
