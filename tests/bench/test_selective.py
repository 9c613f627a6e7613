"""The case of many distinct queries: each kind is followed by itself, and what is promised of it is told."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.cases import selective
from bench.in_process import open_accounts, opened
from store.subscribe.changes import Change
from store.subscribe.followed import Followed
from store.subscribe.subscriptions import Subscriptions


def _noting(told: set[str]) -> Callable[..., Change | None]:
    """As a followed query answers, but noted."""
    answer = Followed.answer

    def noted(self: Followed, *asked: Any) -> Change | None:
        change = answer(self, *asked)
        if change is not None and change.rows:
            told.add(self.query.id)
        return change

    return noted


@pytest.mark.parametrize("kind", selective.KINDS)
def test_as_many_queries_are_followed_as_are_asked_for(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All distinct, over as many sessions as that takes; each then holds rows that the calls do not write."""
    monkeypatch.setattr(selective, "ACTIVE", 5)
    with opened(tmp_path) as engine:
        subscriptions = Subscriptions(engine)
        selective.follow(engine, subscriptions, kind, 20)
        told: set[str] = set()
        monkeypatch.setattr(Followed, "answer", _noting(told))
        open_accounts(engine, 30)
        assert kind == "equality" or len(told) == 20
        assert (subscriptions.query_count, subscriptions.subscription_count) == (20, 20)
        assert len(subscriptions.subqueries.nodes) == (20 if kind == "membership" else 0)


def test_both_ratios_are_promised_of_every_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From 10 to 10,000, and to 100,000 where there is time for it."""
    monkeypatch.setattr(selective, "cost", lambda *_: 2.0)
    monkeypatch.setattr(selective, "follow", lambda *_: None)
    monkeypatch.setattr(selective, "open_accounts", lambda *_: None)
    monkeypatch.setattr(selective.Subscriptions, "query_count", property(lambda _: selective_size.pop(0)))
    selective_size = [10, 10_000, 100_000] * len(selective.KINDS)
    told = [each for each in selective.run(tmp_path / "full", quick=False) if each.target]
    assert [each.target for each in told] == ["<= 1.3 x", "<= 1.6 x"] * len(selective.KINDS)
    assert all(each.holds for each in told)
    selective_size = [10, 10_000] * len(selective.KINDS)
    assert len([each for each in selective.run(tmp_path / "quick", quick=True) if each.target]) == len(selective.KINDS)
