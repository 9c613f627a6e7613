"""The rules of a repository's URL."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reducers.repositories import normalise_url, repository_id, repository_name

SPELLINGS = {
    "https://example.com/team/tool": [
        "https://example.com/team/tool",
        "https://example.com/team/tool.git",
        "https://example.com/team/tool.git/",
        "https://example.com/team/tool///",
        "https://example.com//team//tool",
        "HTTPS://EXAMPLE.com/team/tool",
        "https://example.com:443/team/tool",
        "https://example.com./team/tool",
        "https://ada@example.com/team/tool",
        "https://ada:p%40ss@example.com/team/tool",
        "https://x:a@b@example.com/team/tool",
        "https://example.com/team/tool?token=secret#readme",
        "https://example.com/team/./x/../tool",
        "https://example.com/te%61m/tool",
        "  https://example.com/team/tool\n",
        "git+https://example.com/team/tool",
    ],
    "ssh://example.com/team/tool": [
        "git@example.com:team/tool.git",
        "git@Example.com:/team/tool",
        "example.com:team/tool",
        "ssh://git@example.com/team/tool.git",
        "ssh://git@example.com:22/team/tool.git",
        "git+ssh://git@example.com/team/tool",
    ],
    "ssh://example.com:2222/team/tool": ["ssh://git@example.com:2222/team/tool.git"],
    "ssh://[2001:db8::1]/team/tool": ["git@[2001:DB8::1]:team/tool", "ssh://git@[2001:db8::1]/team/tool"],
    "http://example.com/team/Tool": ["http://example.com:80/team/Tool"],
    "https://example.com": ["https://example.com", "https://example.com/", "https://example.com/.git"],
    "https://example.com/a%20b/c%2Fd": ["https://example.com/a%20b/c%2fd", "https://example.com/a b/c%2Fd"],
    "https://example.com/%C3%A9t%C3%A9/50%25": [
        "https://example.com/été/50%",
        "https://example.com/%c3%a9t%C3%A9/50%25",
    ],
    "file:///srv/git/tool": [
        "/srv/git/tool.git",
        "/srv/git/tool/.git",
        "/srv/git//tool/",
        "file:///srv/git/tool.git",
        "file://localhost/srv/git/tool",
        "FILE:///srv/git/tool",
    ],
    "file:///srv/50%25/a%23b%3Fc": ["/srv/50%/a#b?c"],
    "file:///C:/code/tool": ["C:\\code\\tool.git", "C:/code/tool"],
    "file://nas/share/tool": ["file://NAS/share/tool.git"],
    "file:///": ["/", "file:///"],
}


@pytest.mark.parametrize(
    ("spelling", "normal"), [(spelling, normal) for normal, spellings in SPELLINGS.items() for spelling in spellings]
)
def test_spellings(spelling: str, normal: str) -> None:
    """Every spelling of one repository has one form."""
    assert normalise_url(spelling) == normal


@pytest.mark.parametrize(
    "url",
    [
        *("", "   ", "tool", "team/tool", "./tool", "../tool", "~/tool", "-oProxyCommand=evil", "\ud800", "x" * 2001),
        *("https://", "https:///team", "https://a b/x", "https://e\x00vil/x", "https://[::1/x", "file://"),
        *("https://example.com:99999/x", "https://example.com:port/x", "https://example.com?x=1"),
    ],
)
def test_what_is_no_url(url: str) -> None:
    """What names no repository to anybody else is refused."""
    with pytest.raises(ValueError, match=r"."):
        normalise_url(url)


def test_path_keeps_its_case() -> None:
    """Hosts have no case, paths do."""
    assert normalise_url("https://EXAMPLE.com/Team/Tool") == "https://example.com/Team/Tool"


def test_names() -> None:
    """A repository is called by the last part of its path, or by its host where there is none."""
    assert repository_name("https://example.com/team/tool") == "tool"
    assert repository_name("https://example.com") == "example.com"


def test_ids() -> None:
    """An id is 16 hexadecimal digits of the URL's SHA-256, the same on every machine."""
    assert repository_id("https://example.com/team/tool") == "bae5c1cf42a6da7c"


words = st.text("abcXYZ09-_.~%é", min_size=1, max_size=8)
urls = st.one_of(
    st.builds(
        "{}://{}{}{}/{}{}".format,
        st.sampled_from(["https", "HTTP", "ssh", "git", "git+ssh", "ftp"]),
        st.sampled_from(["", "ada@", "ada:pass@", "a:b@c@"]),
        st.sampled_from(["example.com", "Example.ORG.", "[::1]", "127.0.0.1"]),
        st.sampled_from(["", ":", ":22", ":443", ":8080"]),
        st.lists(words | st.sampled_from(["", ".", "..", ".git"]), max_size=5).map("/".join),
        st.sampled_from(["", "/", ".git", ".git/", "?q=1", "#f"]),
    ),
    st.builds("git@example.com:{}".format, st.lists(words, max_size=4).map("/".join)),
    st.builds("/{}".format, st.lists(words | st.sampled_from(["..", ".git"]), max_size=5).map("/".join)),
    st.text(max_size=30),
)


@settings(max_examples=500, derandomize=True)
@given(urls)
def test_normal_form_is_normal(url: str) -> None:
    """A normalised URL normalises to itself, and is storable text."""
    try:
        normal = normalise_url(url)
    except ValueError:
        return
    assert normalise_url(normal) == normal
    assert normal.encode().decode() == normal


@settings(max_examples=300, derandomize=True)
@given(urls, st.sampled_from([".git", "/", ".git/", "/.git", "#x"]))
def test_endings_do_not_matter(url: str, ending: str) -> None:
    """`.git` and slashes behind a path change nothing."""
    try:
        normal = normalise_url(url)
    except ValueError:
        return
    has_path = "/" in normal.partition("://")[2]
    assert not has_path or normalise_url(normal + ending) == normal


@settings(max_examples=300, derandomize=True)
@given(st.text("abc:%40", min_size=1, max_size=10), st.text("xyz!$&'()*+,;=:@", min_size=1, max_size=10))
def test_credentials_never_stay(user: str, password: str) -> None:
    """Whatever stands before the host is gone."""
    assert normalise_url(f"https://{user}:{password}@example.com/team/tool") == "https://example.com/team/tool"
