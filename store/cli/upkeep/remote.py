"""Long work that a running tenant does when it is asked to: waited for, with its progress shown meanwhile."""

import threading
from contextlib import suppress
from typing import Any, Final

from store.cli.asking import Tenant
from store.cli.progress import Phases
from store.errors import StoreError

LOOK_S: Final = 0.5
"""Seconds between two looks at how far it is."""


def ask_and_watch(tenant: Tenant, path: str, kind: str, phases: Phases) -> dict[str, Any]:
    """What the tenant answers to a POST, once all is done. `kind`: what it calls this work when asked how far it is.

    Unreachable, Denied, or the CallError that it names.
    """
    asked = _Asked(tenant, path)
    asked.start()
    while not asked.done.wait(LOOK_S):
        with suppress(StoreError):  # Whether it is still there is found out by the one that waits.
            _tell(tenant.get("/v1/operations"), kind, phases)
    return asked.answer()


class _Asked(threading.Thread):
    """One request on its way; a thread that ends with the process, as when keys are pressed."""

    def __init__(self, tenant: Tenant, path: str) -> None:
        super().__init__(name="asked", daemon=True)
        self._tenant: Final = tenant
        self._path: Final = path
        self._answer: dict[str, Any] = {}
        self._error: BaseException | None = None
        self.done: Final = threading.Event()

    def run(self) -> None:
        """Ask, and wait as long as it takes."""
        try:
            self._answer = self._tenant.post(self._path)
        except BaseException as error:  # noqa: BLE001  # Raised where the answer is taken.
            self._error = error
        finally:
            self.done.set()

    def answer(self) -> dict[str, Any]:
        """What came. Raises what was raised."""
        if self._error is not None:
            raise self._error
        return self._answer


def _tell(state: dict[str, Any], kind: str, phases: Phases) -> None:
    said = state.get("progress")
    if state.get("working") == kind and isinstance(said, dict) and "phase" in said:
        phases(str(said["phase"]), int(said.get("done") or 0), int(said.get("total") or 0))
