import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lib.data.download.catalogue import Remote
from lib.data.download.fetch import FetchError, fetch, part_of
from tests.data.download.archives import remote
from tests.data.download.server import Site, serve

CONTENT = np.random.default_rng(0).bytes(3_000_000)


def get(what: Remote, path: Path) -> int:
    """Fetch a file and return how many bytes were said to have come."""
    counted: list[int] = []
    part = fetch(what, path, on_bytes=counted.append, stop=threading.Event(), pause=0.001)
    part.replace(path)
    return sum(counted)


def test_a_cut_connection_is_continued_where_it_was_cut(tmp_path):
    with serve(Site({"a.zip": CONTENT}, cut_after=[1_000_000, 500_000])) as site:
        assert get(remote("a.zip", CONTENT, f"{site.url}/a.zip"), tmp_path / "a.zip") == 3_000_000
    first, *further = [span for _, span in site.asked]
    starts = [int(span.removeprefix("bytes=").rstrip("-")) for span in further]
    assert first is None and len(starts) == 2
    assert 900_000 < starts[0] <= 1_000_000  # at most the last piece is lost
    assert 400_000 < starts[1] - starts[0] <= 500_000
    assert (tmp_path / "a.zip").read_bytes() == CONTENT


def test_a_part_from_an_earlier_run_is_not_fetched_again(tmp_path):
    part_of(tmp_path / "a.zip").write_bytes(CONTENT[:2_000_000])
    with serve(Site({"a.zip": CONTENT})) as site:
        assert get(remote("a.zip", CONTENT, f"{site.url}/a.zip"), tmp_path / "a.zip") == 1_000_000
    assert (tmp_path / "a.zip").read_bytes() == CONTENT


def test_a_server_that_cannot_continue_is_asked_for_the_whole_file(tmp_path):
    part_of(tmp_path / "a.zip").write_bytes(CONTENT[:2_000_000])
    with serve(Site({"a.zip": CONTENT}, ranges=False, cut_after=[1_000_000])) as site:
        assert get(remote("a.zip", CONTENT, f"{site.url}/a.zip"), tmp_path / "a.zip") == 1_000_000
    assert (tmp_path / "a.zip").read_bytes() == CONTENT


def test_a_part_that_is_longer_than_the_file_is_thrown_away(tmp_path):
    part_of(tmp_path / "a.zip").write_bytes(CONTENT + b"more")
    with serve(Site({"a.zip": CONTENT})) as site:
        get(remote("a.zip", CONTENT, f"{site.url}/a.zip"), tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == CONTENT


def test_a_wrong_digest_is_said_and_the_file_removed(tmp_path):
    what = remote("a.zip", CONTENT, "")
    with serve(Site({"a.zip": CONTENT[::-1]})) as site:
        what = replace(what, urls=(f"{site.url}/a.zip",))
        with pytest.raises(FetchError, match="is not the expected file: its md5 is"):
            get(what, tmp_path / "a.zip")
        assert list(tmp_path.iterdir()) == []
        site.files["a.zip"] = CONTENT
        get(what, tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == CONTENT


def test_a_file_of_another_size_is_refused_before_it_is_fetched(tmp_path):
    refused = pytest.raises(FetchError, match="3,000,001 bytes, expected 3,000,000")
    with serve(Site({"a.zip": CONTENT + b"!"})) as site, refused:
        get(remote("a.zip", CONTENT, f"{site.url}/a.zip"), tmp_path / "a.zip")
    assert not part_of(tmp_path / "a.zip").exists()


def test_the_next_address_is_tried_where_one_lacks_the_file(tmp_path):
    with serve(Site({"there.zip": CONTENT})) as site:
        urls = (f"{site.url}/gone.zip", f"{site.url}/there.zip")
        get(remote("a.zip", CONTENT, *urls), tmp_path / "a.zip")
    assert [name for name, _ in site.asked] == ["gone.zip", "there.zip"]


def test_a_missing_file_is_said_with_what_to_put_where(tmp_path):
    with serve(Site({})) as site, pytest.raises(FetchError) as error:
        get(remote("a.zip", CONTENT, f"{site.url}/a.zip"), tmp_path / "a.zip")
    assert "404 Not Found" in str(error.value) and str(tmp_path) in str(error.value)


def test_a_busy_server_is_asked_again(tmp_path):
    with serve(Site({"a.zip": CONTENT}, statuses=[503, 429])) as site:
        get(remote("a.zip", CONTENT, f"{site.url}/a.zip"), tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == CONTENT


def test_without_a_network_what_is_there_stays(tmp_path):
    part_of(tmp_path / "a.zip").write_bytes(CONTENT[:10])
    with pytest.raises(FetchError, match=r"no connection.* 6 times in a row"):
        get(remote("a.zip", CONTENT, "http://127.0.0.1:9/a.zip"), tmp_path / "a.zip")
    assert part_of(tmp_path / "a.zip").read_bytes() == CONTENT[:10]


def test_a_digest_may_be_known_by_its_beginning_and_the_size_not_at_all(tmp_path):
    what = remote("a.zip", CONTENT, "")
    with serve(Site({"a.zip": CONTENT})) as site:
        what = replace(
            what, urls=(f"{site.url}/a.zip",), size=5, digest=what.digest[:10], exact=False
        )
        get(what, tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == CONTENT
