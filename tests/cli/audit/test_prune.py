"""`store audit prune`: what it says, and where it is refused."""

import json
import subprocess
import sys
from pathlib import Path

from store.audit.shipping.pruning import prune
from tests.audit.shipping.test_pruning import Old
from tests.cli.audit.test_keeping import of_rgw
from tests.cli.history import deposit
from tests.cli.tenant import ROOT, store


def test_nothing_goes_before_its_time(tmp_path: Path) -> None:
    """It is said what keeps it, and nobody is asked to agree to nothing."""
    deposit(tmp_path / "data", *range(1, 8))
    assert store("audit", "ship", "data", cwd=tmp_path).returncode == 0
    deposit(tmp_path / "data", *range(8, 12))
    assert store("audit", "ship", "data", cwd=tmp_path).returncode == 0
    done = store("audit", "prune", "data", cwd=tmp_path)
    assert (done.returncode, "0 events in 0 batches are gone" in done.stdout) == (0, True)
    assert "what comes next stays: batch 0: the log itself still begins before" in done.stderr
    said = json.loads(store("audit", "prune", "data", "--dry-run", "--json", cwd=tmp_path).stdout)
    assert (said["batches"], said["dry_run"]) == (0, True)
    assert store("audit", "verify", "data", cwd=tmp_path).returncode == 0


def test_a_bucket_is_for_its_owner(tmp_path: Path) -> None:
    """Whoever ships may not remove from it, so no command of ours does."""
    deposit(tmp_path / "data", 1)
    done = store("audit", "prune", "data", *of_rgw("http://127.0.0.1:9", "b"), cwd=tmp_path)
    assert done.returncode == 78
    assert "Its owner may" in done.stderr


def test_both_verifiers_prove_the_rest_and_say_what_is_gone(tmp_path: Path) -> None:
    """It is a gap as any other to them: who removed it they cannot know."""
    old = Old(tmp_path / "bucket").let_log_go()
    prefix = old.found_later()
    prune(old.folder, old.keeper.log, prefix, progress=lambda _: None)
    left, count = old.keeper.status()["events"] - prefix.events, len(prefix.manifests)
    missing = "manifest 0 is missing" if count == 1 else f"manifests 0 to {count - 1} are missing before it"
    key = str(old.keeper.notary.signer(1).key)
    ours = store("audit", "verify", "bucket", "--key", key, cwd=tmp_path)
    tool = [sys.executable, str(ROOT / "tools" / "verify_audit.py"), "bucket", "--key", key]
    theirs = subprocess.run(tool, cwd=tmp_path, capture_output=True, text=True, check=False)
    for code, text in ((ours.returncode, ours.stdout), (theirs.returncode, theirs.stdout)):
        assert (code, missing in text) == (2, True)
    assert f"{left} of {left} events proven" in ours.stdout
    assert f"{left} events proven" in theirs.stdout
