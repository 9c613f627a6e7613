"""The names of a trail's objects."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.audit.objects.layout import (
    Malformed,
    Name,
    What,
    batch_name,
    check_log_id,
    checkpoint_name,
    folder_of,
    key_name,
    log_id,
    manifest_name,
    origin_of,
    policy_name,
    read_name,
    revocation_name,
)
from store.errors import ConfigError
from store.ids import Epoch

LOG = "00112233445566778899aabbccddeeff"


@pytest.mark.parametrize(
    ("name", "tail", "said"),
    [
        (
            batch_name(LOG, 7, first=35_000, last=39_999),
            "batch/000000000007-00000000000000035000-00000000000000039999.jsonl.zst",
            Name(What.BATCH, LOG, 7, 35_000, 39_999),
        ),
        (manifest_name(LOG, 7), "manifest/000000000007.json", Name(What.MANIFEST, LOG, 7)),
        (checkpoint_name(LOG, 40_000), "checkpoint/00000000000000040000.ckpt", Name(What.CHECKPOINT, LOG, 40_000)),
        (key_name(LOG, "0011aaff"), "keys/0011aaff.note", Name(What.KEY, LOG, key_id="0011aaff")),
        (revocation_name(LOG, "0011aaff"), "keys/0011aaff.revoked.note", Name(What.REVOCATION, LOG, key_id="0011aaff")),
        (policy_name(LOG, 3), "policy/000003.note", Name(What.POLICY, LOG, 3)),
    ],
)
def test_a_name_says_what_is_in_its_object(name: str, tail: str, said: Name) -> None:
    """It is written in one way, below the log's id, and read back."""
    assert name == f"audit/v1/{LOG}/{tail}" == folder_of(LOG) + tail
    assert read_name(name) == said


@pytest.mark.parametrize(
    "name",
    [
        "",
        "audit/v1/",
        f"audit/v1/{LOG}",
        f"audit/v1/{LOG}/",
        f"audit/v2/{LOG}/manifest/000000000007.json",
        f"audit/v1/{LOG.upper()}/manifest/000000000007.json",
        f"audit/v1/{LOG}x/manifest/00000000007.json",
        f"audit/v1/{LOG}/manifest/7.json",
        f"audit/v1/{LOG}/manifest/000000000007.json\n",
        f"audit/v1/{LOG}/manifest/00000000000\u0667.json",
        f"audit/v1/{LOG}/batch/000000000007-00000000000000000002-00000000000000000001.jsonl.zst",
        f"audit/v1/{LOG}/keys/../../x",
    ],
)
def test_no_other_name_is_read(name: str) -> None:
    """Whatever else lies in a bucket is no object of a trail."""
    assert read_name(name) is None


@given(st.text(max_size=150))
def test_any_text_is_read_as_a_name_or_as_none(text: str) -> None:
    """Reading never fails, and never reads what it would not write."""
    for name in (text, f"audit/v1/{LOG}/{text}"):
        found = read_name(name)
        assert found is None or name.startswith(folder_of(found.log))


def test_a_trail_is_named_after_its_store() -> None:
    """By the first epoch, below a domain of the operator's."""
    log = log_id(Epoch(bytes(range(16))))
    assert check_log_id(log) == "000102030405060708090a0b0c0d0e0f"
    assert origin_of("example.com", log) == f"example.com/audit/{log}"


@pytest.mark.parametrize("domain", ["", "a b", "a+b", "Example.com", "a/b", "-a", "a\n"])
def test_a_domain_that_cannot_be_part_of_a_keys_name_is_refused(domain: str) -> None:
    """The error names the option and what it takes."""
    with pytest.raises(ConfigError, match="audit_domain"):
        origin_of(domain, LOG)


@pytest.mark.parametrize("text", ["", "00", LOG.upper(), LOG + "0", LOG[:-1] + "g"])
def test_what_is_no_log_id_is_refused(text: str) -> None:
    """The error says what one looks like."""
    with pytest.raises(Malformed, match="32 lower-case hex digits"):
        check_log_id(text)
