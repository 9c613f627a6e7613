"""The bytes of headers and batches."""

import re
from hashlib import sha256
from pathlib import Path
from struct import pack, unpack_from

import google_crc32c
import msgspec
import pytest

import store.log.format as log_format
from store.codec import decode_batch, encode_transaction
from store.errors import CorruptionError, DirectoryError
from store.ids import (
    ConnectionId,
    Epoch,
    IdentityReference,
    Offset,
    Position,
    SchemaVersion,
    TableId,
    Timestamp,
)
from store.log.format import (
    BATCH_HEADER_SIZE,
    CHAIN_START,
    SEGMENT_HEADER_SIZE,
    Batch,
    BatchFormat,
    SegmentHeader,
    body_count,
    chain_after,
    decode_segment_header,
    encode_segment_header,
    first_offset_of,
    segment_name,
)
from store.transaction import Kind, Transaction

PAGE = (Path(log_format.__file__).parent / "FORMAT.md").read_text()

HEADER = SegmentHeader(
    salt=bytes(range(16)),
    epoch=Epoch(bytes(range(16, 32))),
    first_offset=Offset(1),
    created=Timestamp(1_700_000_000_000_000),
    chain=CHAIN_START,
)

OPENED = Transaction(
    kind=Kind.CALL,
    offset=Offset(1),
    timestamp=Timestamp(1_700_000_000_000_001),
    writes=((TableId(1), 1, 7, None, b"\x92\x07\xa5alice"),),
    call_key=None,
    identity=IdentityReference(0),
    connection=ConnectionId(0),
    source="",
    schema_version=SchemaVersion(1),
    reducer="open_account",
    args=b"\x91\xa5alice",
    outcome="",
    value=b"\x07",
)


def encode(*records: bytes, first: int = 1, durable: int = 0, chain: bytes = CHAIN_START) -> bytes:
    """One batch under HEADER's salt."""
    return BatchFormat(HEADER.salt).encode(
        list(records), first_offset=Offset(first), durable_offset=Offset(durable), seed=bytes(16), chain=chain
    )[0]


def ruler(section: str) -> list[tuple[int, int, str]]:
    """A section's byte ruler: (at, size, field)."""
    text = PAGE.split(f"## {section}")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (\d+) \| (\d*) ?\| ([a-z ]+) \|", text, re.MULTILINE)
    return [(int(at), int(size or 0), field) for at, size, field in rows]


def test_the_worked_example_of_the_page_is_what_is_written() -> None:
    """FORMAT.md §5, byte for byte."""
    batches = BatchFormat(HEADER.salt)
    seeds = bytes(range(32, 48)), bytes(range(48, 64))
    first, chain = batches.encode(
        [encode_transaction(OPENED)],
        first_offset=Offset(1),
        durable_offset=Offset(0),
        seed=seeds[0],
        chain=CHAIN_START,
    )
    second, _ = batches.encode([], first_offset=Offset(2), durable_offset=Offset(1), seed=seeds[1], chain=chain)
    example = PAGE.split("```hex\n")[1].split("```")[0]
    lines = re.findall(r"^([0-9a-f]{4})  ((?:[0-9a-f]{2} ?)+)", example, re.MULTILINE)
    written = bytearray()
    for at, digits in lines:
        assert len(written) == int(at, 16)
        written += bytes.fromhex(digits)
    assert written == encode_segment_header(HEADER) + first + second


@pytest.mark.parametrize(("section", "size"), [("2  ", SEGMENT_HEADER_SIZE), ("3  ", BATCH_HEADER_SIZE)])
def test_the_rulers_of_the_page_have_no_gaps_and_the_sizes_of_the_layouts(section: str, size: int) -> None:
    """Each field of FORMAT.md §2 and §3 begins where the one before ends, and all together are the header."""
    position = 0
    for at, length, _ in ruler(section):
        assert at == position
        position += length
    assert position == size


def test_the_ruler_of_a_batch_places_the_fields_where_they_are_written() -> None:
    """The places FORMAT.md §3 gives hold what was put into the batch."""
    data = encode(b"\x01", b"\x02", first=7, durable=6)
    at = {field: at for at, _, field in ruler("3  ")}
    assert unpack_from("<I", data, at["body length"]) == (7,)
    assert unpack_from("<I", data, at["count"]) == (2,)
    assert unpack_from("<Q", data, at["first offset"]) == (7,)
    assert unpack_from("<Q", data, at["durable offset"]) == (6,)
    assert data[at["body"] :] == b"\xdd\x00\x00\x00\x02\x01\x02"


def test_the_table_of_record_fields_is_the_transaction() -> None:
    """FORMAT.md §4 lists the transaction's fields by name, in order, and its kinds by number."""
    section = PAGE.split("## 4  ")[1].split("\n## ")[0]
    listed = re.findall(r"^\| \d+ \| ([a-z ]+) \|", section, re.MULTILINE)
    assert [name.replace(" ", "_") for name in listed] == list(Transaction.__struct_fields__)
    for kind in Kind:
        assert f"{kind.value} {kind.name.lower().replace('_', ' ')}" in section


def test_the_checks_are_those_the_page_names() -> None:
    """Marker, checksums and chain can be computed from FORMAT.md §3 alone."""
    data = encode(b"\x01")
    salt, header, body = HEADER.salt, data[:BATCH_HEADER_SIZE], data[BATCH_HEADER_SIZE:]
    digest = sha256(salt).digest()
    assert header[:4] == bytes([digest[0] | 1]) + digest[1:4]
    assert header[4:8] == pack("<I", google_crc32c.value(salt + header[8:]))
    assert header[8:12] == pack("<I", google_crc32c.value(salt + body))
    assert (
        header[52:84] == sha256(CHAIN_START + header[12:52] + body).digest() == chain_after(CHAIN_START, header, body)
    )


def test_a_body_is_one_messagepack_array_of_its_records() -> None:
    """A batch's body decodes at once to its transactions."""
    record = encode_transaction(OPENED)
    body = encode(record, record)[BATCH_HEADER_SIZE:]
    assert decode_batch(body) == [OPENED, OPENED]
    assert body_count(body) == 2
    assert msgspec.msgpack.decode(encode()[BATCH_HEADER_SIZE:]) == []


@pytest.mark.parametrize("body", [b"", b"\xdd\x00\x00\x00", b"\xdc\x00\x01\x01\x01", b"\xc0" * 9])
def test_what_does_not_begin_as_a_body_holds_no_count(body: bytes) -> None:
    """A body begins with a 32-bit array head."""
    assert body_count(body) == -1


def test_a_batch_encoded_again_is_the_same_bytes() -> None:
    """What recovery writes over an unproven batch is what is there already."""
    batches = BatchFormat(HEADER.salt)
    data = encode(b"\x01\x02", first=4, durable=3)
    header = batches.decode_header(data)
    assert header is not None
    batch = Batch(
        header.first_offset,
        header.count,
        header.durable_offset,
        header.seed,
        header.chain,
        data[BATCH_HEADER_SIZE:],
        Position(100),
        "log/x",
    )
    assert batches.encode_again(batch) == data


def test_every_bit_of_a_batch_header_is_checked() -> None:
    """No header with one bit turned over is taken for a header."""
    batches = BatchFormat(HEADER.salt)
    data = encode(b"\x01")[:BATCH_HEADER_SIZE]
    assert batches.decode_header(data) is not None
    for bit in range(len(data) * 8):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        assert batches.decode_header(bytes(damaged)) is None


def test_a_batch_of_another_segment_is_none_of_this_one() -> None:
    """The salt enters marker, header checksum and body checksum."""
    other = BatchFormat(bytes(16))
    data = encode(b"\x01")
    assert other.decode_header(data) is None
    assert other.decode_header(other.marker + data[4:]) is None
    body = data[BATCH_HEADER_SIZE:]
    assert other.body_checksum(body) != BatchFormat(HEADER.salt).body_checksum(body)


def test_a_marker_is_never_zeros() -> None:
    """Sectors that were never written hold no marker, whatever the salt."""
    assert all(BatchFormat(pack("<QQ", 0, number)).marker[0] & 1 for number in range(1000))


def test_too_few_bytes_are_no_batch_header() -> None:
    """A header cut short anywhere is no header."""
    batches = BatchFormat(HEADER.salt)
    data = encode(b"\x01")
    assert all(batches.decode_header(data[:size]) is None for size in range(BATCH_HEADER_SIZE))


def test_a_segment_header_is_read_back() -> None:
    """Every field survives."""
    header = SegmentHeader(bytes(16), Epoch(bytes(range(16))), Offset(2**63), Timestamp(1), bytes(range(32)))
    assert decode_segment_header(encode_segment_header(header) + b"more", file="f") == header


def test_every_bit_of_a_segment_header_is_checked() -> None:
    """A turned bit in it is corruption at position 0, never another version."""
    data = encode_segment_header(HEADER)
    for bit in range(len(data) * 8):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(CorruptionError) as raised:
            decode_segment_header(bytes(damaged), file="log/x")
        assert (raised.value.file, raised.value.position) == ("log/x", 0)


def test_a_segment_header_cut_anywhere_is_corruption() -> None:
    """A segment has its name only when its header is whole."""
    data = encode_segment_header(HEADER)
    for size in range(len(data)):
        with pytest.raises(CorruptionError):
            decode_segment_header(data[:size], file="log/x")


def sealed(head: bytes) -> bytes:
    """A header with the checksum it should have."""
    return head + pack("<I", google_crc32c.value(head))


@pytest.mark.parametrize("size", [64, 100, 300])
def test_an_intact_header_of_a_newer_version_is_named(size: int) -> None:
    """Another version's header may have another size; its checksum is its last four bytes."""
    data = sealed(pack("<8sHH", b"CMTSTORE", 7, size) + bytes(size - 16))
    with pytest.raises(DirectoryError, match="version 7; this store reads version 1"):
        decode_segment_header(data + bytes(300), file="log/x")


def test_an_unknown_flag_is_refused() -> None:
    """A set flag is a feature that must not be ignored."""
    data = bytearray(encode_segment_header(HEADER)[:-4])
    data[12] = 4
    with pytest.raises(DirectoryError, match="flags 0x4"):
        decode_segment_header(sealed(bytes(data)), file="log/x")


def test_this_version_has_one_header_size() -> None:
    """Version 1 with another size is corruption, however well it checks."""
    with pytest.raises(CorruptionError):
        decode_segment_header(sealed(pack("<8sHH", b"CMTSTORE", 1, 64) + bytes(48)), file="log/x")


def test_a_segment_is_named_by_its_first_offset() -> None:
    """Twenty digits, so that names sort as offsets do."""
    assert segment_name(Offset(41)) == "log/00000000000000000041.log"
    assert first_offset_of("00000000000000000041.log") == 41


@pytest.mark.parametrize(
    "name",
    ["41.log", "00000000000000000041.log.new", "00000000000000000041", "\N{ARABIC-INDIC DIGIT ZERO}" * 20 + ".log"],
)
def test_other_names_are_not_segments(name: str) -> None:
    """What is not twenty ASCII digits and .log is somebody else's."""
    assert first_offset_of(name) is None
