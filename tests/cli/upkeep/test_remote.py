"""The rules of work that a running tenant does: waited for, watched, and its failures told as they were."""

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest

from store.cli.asking import Tenant
from store.cli.progress import Phases
from store.cli.upkeep import remote
from store.cli.upkeep.remote import ask_and_watch
from store.client.errors import Unreachable
from store.errors import Refused

WORKING = {"working": "drill", "progress": {"event": "progress", "phase": "copying", "done": 3, "total": 9}}


class _Asked(Tenant):
    """A tenant that works until somebody has looked how far it is."""

    def __init__(self, states: list[Any], answer: Callable[[], dict[str, Any]]) -> None:
        super().__init__("ws://127.0.0.1:1", "secret", ssl=None, timeout_s=1)
        self.states = states
        self.answer = answer
        self.looked = threading.Event()

    def post(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """The answer, once all states were seen."""
        del path, body
        assert self.looked.wait(30)
        return self.answer()

    def get(self, path: str) -> dict[str, Any]:
        """The next state."""
        assert path == "/v1/operations"
        state = self.states.pop(0)
        if not self.states:
            self.looked.set()
        if isinstance(state, BaseException):
            raise state
        assert isinstance(state, dict)
        return state


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "LOOK_S", 0.001)


def test_its_progress_is_shown_as_if_it_were_done_here(capsys: pytest.CaptureFixture[str]) -> None:
    """Phases of this work alone: what else the tenant does, or a look that failed, says nothing."""
    states = [{"working": "snapshot", "progress": {"phase": "other", "done": 1, "total": 2}}, Unreachable("x"), WORKING]
    tenant = _Asked([*states, {"working": "", "progress": {}}], lambda: {"a": 1})
    with Phases(json=True) as phases:
        answer = ask_and_watch(tenant, "/v1/drill", "drill", phases)
    assert answer == {"a": 1}
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {(each["phase"], each["done"], each["total"]) for each in said} == {("copying", 3, 9)}


def test_what_it_refuses_is_raised_here() -> None:
    """In the thread of whoever asked, with all that was said of it."""

    def refuse() -> dict[str, Any]:
        raise Refused("drill_failed", message="a block is damaged", details={"exit": 4})

    with pytest.raises(Refused, match="a block is damaged") as caught, Phases(json=True) as phases:
        ask_and_watch(_Asked([WORKING], refuse), "/v1/drill", "drill", phases)
    assert caught.value.details == {"exit": 4}
