"""The README's examples, run as a reader would run them."""

import asyncio
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.tenant import Tenant

README = (Path(__file__).parents[1] / "README.md").read_text()
BANK, AGENT, IN_MEMORY = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.fixture
def bank(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The page's domain as a file, in a folder where Python finds it."""
    (tmp_path / "bank.py").write_text(BANK)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "bank", raising=False)
    return tmp_path


def test_the_domain_works_in_memory(bank: Path) -> None:
    """The example of a test passes on the example of a domain."""
    exec(IN_MEMORY, {})  # noqa: S102  # It is the page that is tested.


def test_the_agent_hears_of_its_own_transfer(bank: Path, capsys: Any) -> None:
    """The example of an agent runs to its end against a served tenant, and prints the change it waited for."""
    tenant = Tenant(bank, "--domain", "bank")
    tenant.start()
    try:
        page: dict[str, Any] = {}
        exec(AGENT, page)  # noqa: S102  # It is the page that is tested.
        asyncio.run(asyncio.wait_for(page["live"](tenant.url, tenant.token), timeout=60))
    finally:
        tenant.stop()
    assert capsys.readouterr().out.endswith(" 70\n")


def test_every_page_it_names_exists() -> None:
    """Links and named files lead somewhere."""
    root = Path(__file__).parents[1]
    for name in re.findall(r"`((?:store|tests)/[\w/]+\.\w+)`", README) + re.findall(r"\]\(([\w./]+)\)", README):
        assert (root / name).exists(), name
