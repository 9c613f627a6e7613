"""The content of one file in memory, against a plain model."""

from hypothesis import given, settings
from hypothesis import strategies as st

from store.env.inode import SECTOR_SIZE, Inode, Outcome, choose

ACTS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(0, 1500), st.binary(min_size=1, max_size=1200)),
        st.tuples(st.just("truncate"), st.integers(0, 1500), st.just(b"")),
        st.tuples(st.just("sync"), st.just(0), st.just(b"")),
        st.tuples(st.just("fail"), st.just(0), st.just(b"")),
    ),
    max_size=12,
)


def model(content: bytes, act: tuple[str, int, bytes]) -> bytes:
    """What a plain file would hold."""
    kind, position, data = act
    if kind == "write":
        return content[:position].ljust(position, b"\0") + data + content[position + len(data) :]
    return content[:position].ljust(position, b"\0") if kind == "truncate" else content


@settings(max_examples=150, derandomize=True, deadline=None)
@given(acts=ACTS, number=st.integers(0, 2**64))
def test_reads_see_every_change_and_a_crash_every_synced_one(acts: list[tuple[str, int, bytes]], number: int) -> None:
    """Content follows a plain file; with everything synced, so does every crash."""
    inode, content = Inode(1), b""
    for act in acts:
        content = model(content, act)
        if act[0] == "write":
            inode.write(act[1], act[2])
        elif act[0] == "truncate":
            inode.truncate(act[1])
        elif act[0] == "sync":
            inode.sync()
        else:
            inode.forget_dirty()
    assert inode.content == content
    assert inode.crashed(Outcome.keep) == content
    assert inode.crashed(lambda: choose(lambda count: number % count)) is not None
    if all(kind != "fail" for kind, *_ in acts):
        inode.sync()
        assert inode.crashed(Outcome.drop) == content


def test_every_fate_is_reached() -> None:
    """Kept, lost, cut short, in sectors, grown with zeros and grown with something old."""
    seen = []
    for fate in range(6):
        inode = Inode(1)
        inode.write(0, b"x" * 3 * SECTOR_SIZE)

        def below(count: int, fate: int = fate) -> int:
            return fate if count == 6 else (0b10 if count == 1 << 30 else count // 2)

        seen.append(inode.crashed(lambda below=below: choose(below)))  # type: ignore[misc]
    whole, zeros, old = b"x" * SECTOR_SIZE, bytes(SECTOR_SIZE), b"\x02" + bytes(7)
    assert seen[0] == whole * 3
    assert seen[1] == b""
    assert seen[2] == b"x" * (3 * SECTOR_SIZE // 2)
    assert seen[3] == zeros + whole
    assert seen[4] == zeros + whole + zeros
    assert seen[5] == old * 64 + whole + old * 64
