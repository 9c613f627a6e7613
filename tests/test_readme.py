"""The README's examples, run as a reader would run them."""

import asyncio
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.tenant import Tenant

README = (Path(__file__).parents[1] / "README.md").read_text()
BANK, AGENT, VIEW, IN_MEMORY = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


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


def test_the_examples_of_agents_run(bank: Path, capsys: Any) -> None:
    """One after the other, to their end, against a served tenant; each prints the changes it waited for."""
    tenant = Tenant(bank, "--domain", "bank")
    tenant.start()
    try:
        page: dict[str, Any] = {}
        exec(AGENT, page)  # noqa: S102  # It is the page that is tested.
        asyncio.run(asyncio.wait_for(page["live"](tenant.url, tenant.token), timeout=60))
        assert capsys.readouterr().out.endswith(" 70\n")
        exec(VIEW, page)  # noqa: S102  # It is the page that is tested.
        asyncio.run(asyncio.wait_for(page["watch"](tenant.url, tenant.token), timeout=60))
        assert capsys.readouterr().out == "from 50 to 40\n[3] 2\nnew: 3\n"
    finally:
        tenant.stop()


def test_every_page_it_names_exists() -> None:
    """Links and named files lead somewhere."""
    root = Path(__file__).parents[1]
    for name in re.findall(r"`((?:store|tests)/[\w/]+\.\w+)`", README) + re.findall(r"\]\(([\w./]+)\)", README):
        assert (root / name).exists(), name
