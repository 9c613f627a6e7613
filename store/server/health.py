"""The health check from end to end: a record is appended, and the answer waits until the disk has it.

Laws: requests share one heartbeat a second, so that asking costs next to nothing. While one is under way no other
begins. A heartbeat says nothing that a client could not know: its offset is durable when it is told.
"""

import asyncio
import time
from http import HTTPStatus
from typing import Any, Final

from store.server.service import Service
from store.transaction import Kind

HEARTBEAT_INTERVAL_S: Final = 1.0
"""Seconds for which a heartbeat's answer holds."""

Verdict = tuple[int, dict[str, Any]]
"""The HTTP status and the body."""


class Health:
    """Shares heartbeats among those who ask."""

    def __init__(self, service: Service) -> None:
        self._service: Final = service
        self._beat: asyncio.Task[Verdict] | None = None
        self._began = 0.0

    async def check(self) -> Verdict:
        """200 when a commit reached the disk; 503 with the reason when it cannot, or takes too long."""
        reasons = self._service.engine.admission.reasons
        if reasons:
            return _sick(f"calls are refused: {'; '.join(reasons.values())}")
        if self._beat is None or (self._beat.done() and time.monotonic() - self._began >= HEARTBEAT_INTERVAL_S):
            self._began = time.monotonic()
            self._beat = asyncio.get_running_loop().create_task(self._commit(), name="heartbeat")
        limit = self._service.options.health_limit_s
        left = max(0.0, self._began + limit - time.monotonic())
        done, _ = await asyncio.wait({self._beat}, timeout=left)
        if not done:
            return _sick(f"a commit has not reached the disk within {limit:g} s")
        return self._beat.result()

    async def _commit(self) -> Verdict:
        runner, write_path = self._service.runner, self._service.engine.write_path
        with runner.whole():
            answer = write_path.record(Kind.ADMIN, "heartbeat", b"\x90")
        await runner.durable(None)
        seconds = time.monotonic() - self._began
        return HTTPStatus.OK, {"healthy": True, "offset": answer.offset, "seconds": round(seconds, 6)}


def _sick(reason: str) -> Verdict:
    return HTTPStatus.SERVICE_UNAVAILABLE, {"healthy": False, "reason": reason}
