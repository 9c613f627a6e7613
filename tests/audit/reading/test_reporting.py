"""The page for people: what was verified and what was not, what happened, and nothing an attacker wrote into it."""

from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.audit.objects.notes import read_key
from store.audit.reading.reporting import About, page
from store.audit.reading.verifying import tally as tally_module
from store.audit.reading.verifying.findings import Kind, Outcome
from store.audit.reading.verifying.request import Request
from store.audit.reading.verifying.tally import OTHERS, Tally, tally_of
from store.audit.reading.verifying.trail import Verification
from store.env.memory import MemoryClock
from store.env.worm_folder import FolderWorm
from tests.audit.small_trails import FIRST_KEY, LOG, Trail, canonical, event, small_trail

ABOUT = About(made="2026-11-21 09:00:00 UTC", version="0.1.0", asked="")
TAGS = {
    *("html", "head", "meta", "title", "style", "body", "main", "h1", "h2", "h3", "p", "br", "section", "strong"),
    *("ul", "li", "table", "thead", "tbody", "tr", "th", "td", "div", "span", "footer"),
}
ATTRIBUTES = {"lang", "charset", "http-equiv", "content", "name", "class", "scope", "style"}


class Reader(HTMLParser):
    """What a page holds."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        """A tag, and its attributes."""
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        """Text."""
        self.text += data + "\n"


def read(text: str) -> Reader:
    """The page as a browser would."""
    reader = Reader()
    reader.feed(text)
    return reader


def reported(trail: Trail, folder: Path) -> tuple[str, Tally, Outcome]:
    """A trail's page, what was counted, and what came out."""
    request = Request(LOG, read_key(FIRST_KEY.vkey), check_locks=True, with_tally=True)
    run = Verification(FolderWorm(trail.write(folder), MemoryClock()), request)
    counted = Tally()
    for _, checked in run.steps():
        assert checked.tally is not None
        counted.add(checked.tally)
    return page(run.outcome, counted, ABOUT), counted, run.outcome


def test_the_page_says_what_was_verified_and_what_was_not(tmp_path: Path) -> None:
    """The verdict, counts, locks, everything that was not looked at, and that the page itself proves nothing."""
    text, counted, outcome = reported(small_trail(), tmp_path)
    said = read(text).text
    assert counted.events == 10
    for each in ("VERIFIED", "10 of 10 read", outcome.proven_root, "2036-11-21 00:00:00 UTC", *outcome.not_checked):
        assert each in said
    assert "the evidence is the trail" in said


def test_actors_actions_and_outcomes_are_counted(tmp_path: Path) -> None:
    """Who, what, how often, and how often it was not committed; a summary of denials counts with its number."""
    trail = Trail()
    trail.introduce(FIRST_KEY)
    failed = {"status_id": 2, "status": "Failure"}
    summary = {"count": 4_000, "reasons": {"call/denied": 4_000}, "sources": {"10.0.0.1": 3_998}, "others": 2}
    denied = {"status_code": "denied", "unmapped": {"kind": "denied", "args": summary}}
    trail.batch(
        [
            event(0, unmapped={"kind": "lifecycle"}, api={"operation": "start"}),
            event(1),
            event(2, **failed, status_code="refused"),
            event(3, **failed, **denied, api={"operation": "denials"}),
            event(4, **failed, status_code="denied", unmapped={"kind": "denied"}, api={"operation": "call"}),
        ]
    )
    trail.checkpoint()
    text, counted, _ = reported(trail, tmp_path)
    assert (counted.events, counted.failures, counted.denied) == (5, 3, 4_001)
    assert counted.actions["call", "transfer"] == 2
    assert counted.failed_actors["test/alice"] == 3
    assert counted.outcomes == {"refused": 1, "denied": 2}
    assert [seq for seq, _ in counted.starts] == [0]
    assert [(each.seq, each.count) for each in counted.denials] == [(3, 4_000), (4, 1)]
    assert "4,001" in read(text).text
    assert counted.denials[0].reason == "call/denied 4,000; from 10.0.0.1 3,998, others 2"


def test_what_operators_did_is_listed_with_who_and_how_it_ended(tmp_path: Path) -> None:
    """Acts of the store itself are not; of an act that says no more than who, no more is said."""
    trail = Trail()
    trail.introduce(FIRST_KEY)
    eve = {"user": {"domain": "host:den", "uid": "eve"}}
    said: list[tuple[str, Any, Any]] = [
        ("restore", [{"state": "done", "offset": 3}, ["host:den", "eve"]], eve),
        ("drill", [{"failed": "no room"}, ["host:den", "eve"]], eve),
        ("seal", ["host:den", "eve"], eve),
        ("snapshot", [{"reason": "bytes"}, []], {"user": {"domain": "", "uid": "store"}}),
        ("odd", {"state": 3}, eve),
        ("audit", [{"what": "keys rotate", "state": "done"}, ["host:den", "eve"]], eve),
    ]
    trail.batch(
        [
            event(number, unmapped={"kind": "admin", "args": args}, api={"operation": name}, actor=actor)
            for number, (name, args, actor) in enumerate(said)
        ]
    )
    trail.checkpoint()
    text, counted, _ = reported(trail, tmp_path)
    assert [(each.seq, each.action, each.ended) for each in counted.done] == [
        (0, "restore", "done"),
        (1, "drill", "failed"),
        (2, "seal", ""),
        (4, "odd", ""),
        (5, "audit: keys rotate", "done"),
    ]
    assert counted.done_count == 5
    assert "host:den/eve" in read(text).text


@given(hostile=st.text(max_size=30), place=st.sampled_from(["operation", "uid", "ip", "code", "detail", "kind"]))
def test_whatever_stands_in_an_event_is_text(
    hostile: str, place: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """No tag, no attribute, no script, and no character that turns the line around."""
    nasty = f"<script src=x>'\"&</td></style>\u202e{hostile}"
    if any("\ud800" <= each <= "\udfff" for each in nasty):
        return
    whole = event(0, status_id=2, status_code=nasty if place == "code" else "denied", status_detail=nasty)
    whole["api"] = {"operation": nasty if place == "operation" else "call"}
    whole["actor"] = {"user": {"uid": nasty if place == "uid" else "u", "domain": "d"}}
    whole["src_endpoint"] = {"ip": nasty if place == "ip" else "::1"}
    whole["unmapped"]["kind"] = nasty if place == "kind" else "denied"
    outcome = Outcome(LOG, "origin", "somewhere")
    outcome.findings.add(Kind.WARNING, nasty, nasty)
    reader = read(page(outcome, tally_of([canonical(whole)]), ABOUT))
    assert reader.tags <= TAGS
    assert reader.attributes <= ATTRIBUTES
    assert "\u202e" not in reader.text


@given(line=st.binary(max_size=40) | st.sampled_from([b"{}", b"null", b'{"unmapped":3}', b'{"status_id":"x"}']))
def test_an_event_of_another_shape_is_counted(line: bytes) -> None:
    """That it is there is known; it is no crash."""
    assert tally_of([line]).events == 1


def test_names_without_end_are_counted_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hostile trail cannot fill the memory."""
    monkeypatch.setattr(tally_module, "NAMES_MAX", 3)
    whole = Tally()
    for number in range(10):
        whole.add(tally_of([canonical(event(0, api={"operation": f"a{number}"}))]))
    assert len(whole.actions) == 4
    assert whole.actions["", OTHERS] == 7


def test_the_same_trail_gives_the_same_page(tmp_path: Path) -> None:
    """Order does not depend on chance."""
    one, two = (reported(small_trail(), tmp_path / each)[0] for each in ("one", "two"))
    assert one.replace(str(tmp_path / "one"), "") == two.replace(str(tmp_path / "two"), "")
