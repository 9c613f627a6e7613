"""What every ObjectStore guarantees, run over all that claim to be one."""

import threading
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from store.env.folder import FolderObjects
from store.env.memory_objects import MemoryObjects
from store.env.s3 import S3Objects
from store.env.world import ObjectHead, ObjectStore
from tests.env.s3_server import BUCKET, s3_server

Openers = Callable[[], ObjectStore]

NAMES = ("a", "log/2", "log/10", "log-b/1", "logs", "x/y/z_-.blk")


@pytest.fixture(name="server", scope="module")
def _server() -> Iterator[str]:
    """An S3 server for all tests of this file."""
    with pytest.MonkeyPatch.context() as patch, s3_server(patch) as url:
        yield url


@pytest.fixture(name="openers", params=["memory", "folder", "s3"])
def _openers(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Openers]:
    """Opens the same empty store once more each time, as another process would."""
    made: list[S3Objects] = []

    def s3() -> S3Objects:
        made.append(S3Objects(BUCKET, tmp_path.name, endpoint=request.getfixturevalue("server")))
        return made[-1]

    memory = MemoryObjects()
    openers: dict[str, Openers] = {
        "memory": lambda: memory,
        "folder": lambda: FolderObjects(tmp_path / "objects"),
        "s3": s3,
    }
    yield openers[request.param]
    for each in made:
        each.close()


@pytest.fixture(name="objects")
def _objects(openers: Openers) -> ObjectStore:
    """An empty store."""
    return openers()


def test_what_was_put_is_got(objects: ObjectStore) -> None:
    """All bytes, whatever they are; none at all are an object, too."""
    for name, data in {"a": b"hello", "log/b": bytes(range(256)) * 5_000, "c": b""}.items():
        assert objects.put(name, data, if_absent=True)
        assert objects.get(name) == data


def test_other_openers_see_it_at_once(openers: Openers) -> None:
    """When put has returned."""
    openers().put("log/a", b"hello", if_absent=True)
    other = openers()
    assert (other.get("log/a"), other.names()) == (b"hello", ["log/a"])


def test_a_range_is_got(objects: ObjectStore) -> None:
    """Fewer bytes come only at the end; at the end and behind it none."""
    objects.put("a", b"hello", if_absent=True)
    ranges = [(0, 2), (1, 3), (3, 100), (5, 1), (50, 1), (0, 0), (2, None), (5, None)]
    assert [objects.get("a", *each) for each in ranges] == [b"he", b"ell", b"lo", b"", b"", b"", b"llo", b""]


@pytest.mark.parametrize("name", ["a", "log/a"])
def test_a_missing_object_is_file_not_found(objects: ObjectStore, name: str) -> None:
    """To get; head says None, and removing it does nothing."""
    objects.put("b", b"hello", if_absent=True)
    for arguments in ((), (0, 5), (0, 0)):
        with pytest.raises(FileNotFoundError):
            objects.get(name, *arguments)
    assert objects.head(name) is None
    objects.remove(name)


def test_head_says_size_and_hash(objects: ObjectStore) -> None:
    """Of the whole object, as the store itself computed it."""
    for name, data in {"a": b"hello", "b": b"", "c": b"x" * 3_000_000}.items():
        objects.put(name, data, if_absent=True)
        assert objects.head(name) == ObjectHead(len(data), sha256(data).hexdigest())


def test_a_taken_name_is_not_put_again(objects: ObjectStore) -> None:
    """What is there stays as it is."""
    objects.put("log/a", b"hello", if_absent=True)
    for other in (b"hallo", b"", b"hello!"):
        with pytest.raises(FileExistsError):
            objects.put("log/a", other, if_absent=True)
    assert objects.get("log/a") == b"hello"


def test_the_same_bytes_may_be_put_again(objects: ObjectStore) -> None:
    """It is said that they were there."""
    assert objects.put("a", b"hello", if_absent=True)
    assert not objects.put("a", b"hello", if_absent=True)
    assert objects.get("a") == b"hello"


def test_without_if_absent_it_is_replaced(objects: ObjectStore) -> None:
    """As a whole."""
    objects.put("a", b"hello", if_absent=True)
    assert objects.put("a", b"hi", if_absent=False)
    assert objects.get("a") == b"hi"


def test_of_several_at_once_one_stores(openers: Openers) -> None:
    """Of those with other bytes all but one hear that the name is taken; what is there is one of them, whole."""
    stores = [openers() for _ in range(6)]
    outcomes: list[object] = [None] * len(stores)

    def put(number: int) -> None:
        try:
            outcomes[number] = stores[number].put("race", bytes((number,)) * 10_000, if_absent=True)
        except (FileExistsError, OSError) as error:
            outcomes[number] = type(error)

    threads = [threading.Thread(target=put, args=(number,)) for number in range(len(stores))]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert outcomes.count(True) == 1
    assert outcomes.count(FileExistsError) == len(stores) - 1
    assert stores[0].get("race") == bytes((outcomes.index(True),)) * 10_000


def test_names_are_sorted_and_begin_with_the_prefix(objects: ObjectStore) -> None:
    """By their characters, whole names, whether the prefix ends at a folder or not."""
    for name in NAMES:
        objects.put(name, b"", if_absent=True)
    assert objects.names() == sorted(NAMES)
    assert objects.names("log/") == ["log/10", "log/2"]
    assert objects.names("log") == ["log-b/1", "log/10", "log/2", "logs"]
    assert objects.names("log/1") == ["log/10"]
    assert objects.names("x/y/") == ["x/y/z_-.blk"]
    assert objects.names("nothing/here") == []


def test_an_empty_store_has_no_names(objects: ObjectStore) -> None:
    """It is no error, with any prefix."""
    assert (objects.names(), objects.names("log/")) == ([], [])


def test_a_removed_object_is_gone(objects: ObjectStore) -> None:
    """Its name is free again."""
    objects.put("log/a", b"hello", if_absent=True)
    objects.remove("log/a")
    assert (objects.names(), objects.head("log/a")) == ([], None)
    assert objects.put("log/a", b"other", if_absent=True)


def test_each_item_is_acted_on_and_answered_in_order(objects: ObjectStore) -> None:
    """However many are under way at once."""
    names = [f"log/{number:03d}" for number in range(40)]
    assert list(objects.each(lambda name: objects.put(name, name.encode(), if_absent=True), names)) == [True] * 40
    assert list(objects.each(objects.get, names)) == [name.encode() for name in names]
    assert list(objects.each(objects.get, [])) == []


def test_the_first_failure_ends_it(objects: ObjectStore) -> None:
    """In its turn, after the answers before it; few are begun behind it."""
    names = [f"log/{number:03d}" for number in range(100)]
    for name in names[:20]:
        objects.put(name, b"", if_absent=True)
    begun: list[str] = []
    answers: list[bytes] = []

    def get(name: str) -> bytes:
        begun.append(name)
        return objects.get(name)

    with pytest.raises(FileNotFoundError):
        answers.extend(objects.each(get, names))
    assert len(answers) == 20
    assert len(begun) < 40


def test_a_url_says_where_it_is(objects: ObjectStore) -> None:
    """For people."""
    assert objects.url


@pytest.mark.parametrize("name", ["", "../a", "a/../b", "/a", "a/", ".hidden", "a/.b", "a\nb", "a b", "ä", "x" * 600])
def test_a_name_that_leads_astray_is_never_used(objects: ObjectStore, name: str) -> None:
    """Nobody but a bug asks for one."""
    with pytest.raises(AssertionError):
        objects.put(name, b"", if_absent=True)
