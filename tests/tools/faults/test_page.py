"""The page of the matrix. tests/tools/catalogue/test_browser.py shows it in a browser."""

import re
from html import unescape
from pathlib import Path

from cdk_rehearsal import FaultSite
from tools.faults.case import CaseResult, Verdict
from tools.faults.kinds import KINDS
from tools.faults.page import MEANINGS, catalogue_addresses, page

QUEUED = FaultSite("queue", "Checkout/RunCheckout/Queue", "Checkout/RunCheckout/Function")
CALLED = FaultSite("call", "Orders/Orders/Relay", "Backbone/Bus", "events.PutEvents")
LETTERS = "Checkout/RunCheckout/DeadLetters"

RESULTS = [
    CaseResult("early", QUEUED, "bought", 1, Verdict.HELD),
    CaseResult("raises-on", QUEUED, "bought", 1, Verdict.RECOVERED, parked={LETTERS: 3}),
    CaseResult("duplicate", QUEUED, "", 0, Verdict.IMPOSSIBLE, problems=["nothing is sent here"]),
    CaseResult("lost", QUEUED, "bought", 1, Verdict.DETECTED, problems=["1 order is missing"]),
    CaseResult("call-lost", CALLED, "bought", 1, Verdict.HELD),
]
VIOLATED = CaseResult("partial", CALLED, "bought", 1, Verdict.VIOLATED, problems=["lost <it>"])


def nowhere(path: str) -> None:
    """No page of the catalogue exists."""


def text(html: str) -> str:
    tags = re.compile(r"<style>.*?</style>|<[^>]*>", re.DOTALL)
    return re.sub(r" (?=[,:.])", "", " ".join(unescape(tags.sub(" ", html)).split()))


def test_the_headline_counts_the_faults_against_which_there_is_a_safeguard() -> None:
    assert "3 faults injected, one at a time: nothing was lost" in text(page(RESULTS, nowhere))


def test_a_violation_is_the_headline_and_its_site_is_open() -> None:
    html = page([*RESULTS, VIOLATED], nowhere)
    assert "1 of 4 injected faults broke a guarantee" in text(html)
    assert "lost <it>" not in html
    assert "partial (a part of the batch is refused): violated lost <it>" in text(html)
    opened = re.findall(r'<details open>\s*<summary><span class="site">([^<]*)', html)
    assert [each.replace("&gt;", ">") for each in opened] == [str(CALLED)]


def test_each_case_is_explained_without_a_pointer() -> None:
    shown = text(page(RESULTS, nowhere))
    kind = KINDS["raises-on"]
    assert f"raises-on ({kind.says}): recovered 3 parked in {LETTERS}" in shown
    assert "nothing is sent here: duplicate" in shown
    assert f"lost ({KINDS['lost'].says}): detected 1 order is missing" in shown
    assert 'title="' not in page(RESULTS, nowhere)


def test_a_screen_reader_hears_the_verdicts_of_a_row() -> None:
    assert "1 held, 1 recovered, 1 detected" in page(RESULTS, nowhere)


def test_all_verdicts_and_faults_are_explained() -> None:
    assert {*MEANINGS} == {*Verdict}
    shown = text(page(RESULTS, nowhere))
    for number, kind in enumerate(KINDS.values(), 1):
        assert f"{number} {kind.name}: {kind.says}" in shown


def test_sites_link_to_their_pages_in_the_catalogue(tmp_path: Path) -> None:
    catalogue = tmp_path / "site"
    for name in ("index.html", "functions/Checkout.RunCheckout.html"):
        (catalogue / name).parent.mkdir(parents=True, exist_ok=True)
        (catalogue / name).touch()
    address = catalogue_addresses(tmp_path / "pages/faults.html", catalogue)
    assert address("") == "../site/index.html"
    assert address("Checkout/RunCheckout/Function") == (
        "../site/functions/Checkout.RunCheckout.html"
    )
    assert address(LETTERS) is None
    html = page(RESULTS, address)
    link = '<a href="../site/functions/Checkout.RunCheckout.html">Checkout/RunCheckout/Function</a>'
    assert link in html
    assert f"3 parked in {LETTERS}<" in html
