"""The auditor's verifier of one event: a line, a path of hashes, a signed checkpoint, and nothing of the store."""

import base64
import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.audit.small_trails import FIRST_KEY, SECOND_KEY, WITNESS, Trail, node
from tests.tools.test_verify_audit import ROOT, VECTORS
from tests.tools.test_verify_audit import tool as verify_audit

TOOL = ROOT / "tools" / "verify_event.py"

_spec = importlib.util.spec_from_file_location("verify_event", TOOL)
assert _spec is not None
assert _spec.loader is not None
tool = importlib.util.module_from_spec(_spec)
sys.modules["verify_event"] = tool
_spec.loader.exec_module(tool)


def proven(folder: Path, line: bytes, proof: str, *more: str, key: str = FIRST_KEY.vkey) -> int:
    """What it returns for this line and proof."""
    (folder / "ev.json").write_bytes(line)
    (folder / "ev.tlog-proof").write_text(proof)
    status: int = tool.main([str(folder / "ev.json"), str(folder / "ev.tlog-proof"), "--key", key, *more])
    return status


def proof_of_the_last(trail: Trail) -> str:
    """That event 2 is in the tree of three."""
    path = base64.b64encode(node(*trail.leaves[:2])).decode()
    return f"c2sp.org/tlog-proof@v1\nindex 2\n{path}\n\n{trail.note(witnesses=[WITNESS]).decode()}"


@pytest.fixture
def trail() -> Trail:
    """A trail of three events."""
    made = Trail()
    made.introduce(FIRST_KEY)
    return made.grow(3)


def test_one_event_is_proven_by_itself(trail: Trail, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By its line, a path of hashes and a signed checkpoint; with a newline behind the line, or without."""
    for line in (trail.lines[2], trail.lines[2] + b"\n"):
        assert proven(tmp_path, line, proof_of_the_last(trail), "--witness", WITNESS.vkey) == 0
        assert capsys.readouterr().out == "VERIFIED\n"


def test_another_line_index_or_key_is_found(trail: Trail, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And so is a witness that did not cosign: the exit status is that of tampering."""
    line, proof = trail.lines[2], proof_of_the_last(trail)
    assert proven(tmp_path, trail.lines[1], proof) == 1
    assert proven(tmp_path, line, proof.replace("index 2", "index 1")) == 1
    assert proven(tmp_path, line, proof, key=SECOND_KEY.vkey) == 1
    unseen = proof.rpartition("— witness.example")[0]
    assert proven(tmp_path, line, unseen, "--witness", WITNESS.vkey) == 1
    assert capsys.readouterr().out.count("TAMPER") == 4


@pytest.mark.parametrize(
    "proof", ["", "index 0", "c2sp.org/tlog-proof@v1\n\n", "c2sp.org/tlog-proof@v1\nindex -1\n\nx"]
)
def test_what_is_no_proof_is_found(proof: str, trail: Trail, tmp_path: Path) -> None:
    """Never a crash, and never a pass."""
    assert proven(tmp_path, trail.lines[2], proof) == 1


def test_wrong_usage_ends_with_four(tmp_path: Path) -> None:
    """A file that is not there, or no key."""
    for arguments in ([], [str(tmp_path / "none"), "none", "--key", FIRST_KEY.vkey]):
        with pytest.raises(SystemExit) as ended:
            tool.main(arguments)
        assert ended.value.code == 4


def test_the_published_inclusion_proofs_lead_where_they_say() -> None:
    """RFC 6962: the vectors of transparency-dev/merkle, those that must fail as well."""
    vectors = [json.loads(each) for each in (VECTORS / "inclusion.jsonl").read_text().splitlines()]
    assert len(vectors) == 98
    for each in vectors:
        proof = [base64.b64decode(one) for one in each["proof"] or ()]
        decoded = [base64.b64decode(each[name] or "") for name in ("leafHash", "root")]
        try:
            holds = tool.root_by_inclusion(each["leafIdx"], each["treeSize"], decoded[0], proof) == decoded[1]
        except verify_audit.HOSTILE:
            holds = False
        assert holds is not each["wantErr"], each["name"]


def test_the_worked_example_of_the_page_is_verified(tmp_path: Path) -> None:
    """store/audit/FORMAT.md §9: its proof holds; run as an auditor runs it, beside the tool whose notes it reads."""
    page = (ROOT / "store" / "audit" / "FORMAT.md").read_text()
    found: dict[str, str] = dict(re.findall(r"```(\w+)\n(.*?)```", page, re.DOTALL))
    key = next(line.removeprefix("new ") for line in found["key"].splitlines() if line.startswith("new "))
    (tmp_path / "p").write_text(found["proof"])
    (tmp_path / "e").write_text(found["events"].splitlines()[2])
    command = [sys.executable, str(TOOL), str(tmp_path / "e"), str(tmp_path / "p"), "--key", key]
    assert subprocess.run(command, capture_output=True, check=False).stdout == b"VERIFIED\n"
