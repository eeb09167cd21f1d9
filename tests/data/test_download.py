"""One file over HTTP: what is continued, tried again, refused and kept aside."""

from __future__ import annotations

import errno
import hashlib
import io
import random
import socket
from pathlib import Path

import pytest
from file_server import FileServer

from cmrbench.core.errors import DataError
from cmrbench.data.fetching import download as download_module
from cmrbench.data.fetching import partial
from cmrbench.data.fetching.download import Got, Listener, Patience, download
from cmrbench.data.fetching.partial import Wanted

CONTENT = random.Random(1).randbytes(1_000_000)
OTHER = random.Random(2).randbytes(1_000_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
SLACK = 128 << 10  # bytes that were sent and had not been read when the connection was cut


class Heard(Listener):
    def __init__(self) -> None:
        self.positions: list[tuple[int, int | None]] = []

    def position(self, file: str, done: int, total: int | None) -> None:
        self.positions.append((done, total))


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    slept: list[float] = []
    monkeypatch.setattr(download_module.time, "sleep", slept.append)
    return slept


@pytest.fixture(autouse=True)
def environment(no_proxy: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)


def fetch(folder: Path, *urls: str, sha256: str | None = SHA256, size: int | None = None, tries: int = 5) -> Got:
    return download(Wanted(folder / "a.zip", urls, size, sha256), Listener(), Patience(tries=tries))


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_a_file_comes_whole(server: FileServer, tmp_path: Path) -> None:
    heard = Heard()
    got = download(Wanted(tmp_path / "a.zip", (server.add("a", CONTENT),), len(CONTENT), SHA256), heard)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT
    assert got == Got(SHA256, len(CONTENT), server.url("a"))
    assert names(tmp_path) == ["a.zip"]
    assert heard.positions[0] == (0, len(CONTENT))
    assert heard.positions[-1] == (len(CONTENT), len(CONTENT))


@pytest.mark.parametrize("validator", [{"etag": '"v1"'}, {"modified": "Mon, 01 Jan 2024 00:00:00 GMT"}, {}])
def test_a_cut_connection_is_continued(
    server: FileServer, tmp_path: Path, waits: list[float], validator: dict[str, str]
) -> None:
    url = server.add("a", CONTENT, cuts=[400_000, 300_000], **validator)
    fetch(tmp_path, url)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT
    assert server.sent["a"] < len(CONTENT) + 2 * SLACK
    first, *others = server.ranges_of("a")
    assert first is None
    assert len(others) == 2
    assert all(other is not None for other in others)
    assert names(tmp_path) == ["a.zip"]


def test_a_later_call_continues(server: FileServer, tmp_path: Path, waits: list[float]) -> None:
    url = server.add("a", CONTENT, etag='"v1"', cuts=[600_000])
    with pytest.raises(DataError, match=r"a\.zip cannot be fetched from .*: the connection was cut .*tried 1 times"):
        fetch(tmp_path, url, tries=1)
    assert names(tmp_path) == ["a.zip.part", "a.zip.part.json"]
    before = server.sent["a"]
    fetch(tmp_path, url)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT
    assert server.sent["a"] - before < 400_000 + SLACK
    assert server.conditions == [None, '"v1"']


def test_a_weak_etag_is_no_promise(server: FileServer, tmp_path: Path, waits: list[float]) -> None:
    date = "Mon, 01 Jan 2024 00:00:00 GMT"
    fetch(tmp_path, server.add("a", CONTENT, etag='W/"v1"', modified=date, cuts=[600_000]))
    assert server.conditions == [None, date]
    fetch(tmp_path, server.add("b", CONTENT, etag='W/"v1"', cuts=[600_000]), sha256=None)
    assert server.ranges_of("b") == [None, None]


def test_a_length_that_only_the_catalogue_knows(server: FileServer, tmp_path: Path, waits: list[float]) -> None:
    url = server.add("a", CONTENT, etag='"v1"', says_length=False, cuts=[600_000])
    fetch(tmp_path, url, sha256=None, size=len(CONTENT))
    assert (tmp_path / "a.zip").read_bytes() == CONTENT
    assert server.sent["a"] < len(CONTENT) + SLACK


def test_a_part_of_a_longer_file_is_not_taken(server: FileServer, tmp_path: Path, waits: list[float]) -> None:
    url = server.add("a", CONTENT, etag='"v1"', cuts=[600_000], checks_if_range=False)
    with pytest.raises(DataError, match="cut"):
        fetch(tmp_path, url, sha256=None, tries=1)
    server.files["a"].content, server.files["a"].etag = OTHER + b"more", ""
    fetch(tmp_path, url, sha256=None)
    assert (tmp_path / "a.zip").read_bytes() == OTHER + b"more"


def test_without_a_hash_or_a_validator_nothing_is_continued(
    server: FileServer, tmp_path: Path, waits: list[float]
) -> None:
    url = server.add("a", CONTENT, cuts=[600_000])
    with pytest.raises(DataError, match="cut"):
        fetch(tmp_path, url, tries=1)
    server.files["a"].content = OTHER  # of the same size: nothing but the bytes tells
    fetch(tmp_path, url, sha256=None)
    assert (tmp_path / "a.zip").read_bytes() == OTHER
    assert server.ranges_of("a") == [None, None]


@pytest.mark.parametrize("checks_if_range", [True, False])
@pytest.mark.parametrize("sha256", [None, hashlib.sha256(OTHER).hexdigest()])
def test_a_file_that_has_changed_is_fetched_anew(
    server: FileServer, tmp_path: Path, waits: list[float], checks_if_range: bool, sha256: str | None
) -> None:
    url = server.add("a", CONTENT, etag='"v1"', cuts=[600_000], checks_if_range=checks_if_range)
    with pytest.raises(DataError, match="cut"):
        fetch(tmp_path, url, sha256=sha256, tries=1)
    server.files["a"].content, server.files["a"].etag = OTHER, '"v2"'
    fetch(tmp_path, url, sha256=sha256)
    assert (tmp_path / "a.zip").read_bytes() == OTHER


def test_a_server_that_cannot_continue(server: FileServer, tmp_path: Path, waits: list[float]) -> None:
    fetch(tmp_path, server.add("a", CONTENT, etag='"v1"', ranges=False, cuts=[600_000, 700_000]))
    assert (tmp_path / "a.zip").read_bytes() == CONTENT


def test_a_server_that_always_cuts_at_the_same_byte_is_given_up(
    server: FileServer, tmp_path: Path, waits: list[float]
) -> None:
    url = server.add("a", CONTENT, ranges=False, cuts=[600_000] * 50)
    with pytest.raises(DataError, match="tried 5 times"):
        fetch(tmp_path, url)
    assert len(server.requests) < 10


def test_trouble_that_passes(server: FileServer, tmp_path: Path, waits: list[float]) -> None:
    fetch(tmp_path, server.add("a", CONTENT, statuses=[503, 503]))
    assert (tmp_path / "a.zip").read_bytes() == CONTENT
    assert waits == [1.0, 2.0]


@pytest.mark.parametrize(("asked", "waited"), [("7", 7.0), ("99999", 60.0), ("tomorrow", 1.0), ("-5", 1.0)])
def test_a_server_that_asks_to_wait(
    server: FileServer, tmp_path: Path, waits: list[float], asked: str, waited: float
) -> None:
    fetch(tmp_path, server.add("a", CONTENT, statuses=[429], headers={"Retry-After": asked}))
    assert waits == [waited]


def test_trouble_that_stays(server: FileServer, tmp_path: Path, waits: list[float]) -> None:
    with pytest.raises(DataError, match=r"the server has trouble \(503\) \(tried 5 times\)"):
        fetch(tmp_path, server.add("a", CONTENT, statuses=[503] * 50))
    assert len(server.requests) == 5


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (404, "is not there any more"),
        (410, "any more"),
        (403, "in a browser"),
        (401, "login"),
        (407, "proxy wants"),
        (204, "does not send"),
    ],
)
def test_refusals_are_not_tried_again(server: FileServer, tmp_path: Path, status: int, said: str) -> None:
    with pytest.raises(DataError, match=rf"{said}.*\({status}\)"):
        fetch(tmp_path, server.add("a", CONTENT, statuses=[status] * 9))
    assert len(server.requests) == 1
    assert names(tmp_path) == []


def test_mirrors_in_order(server: FileServer, tmp_path: Path) -> None:
    good, never = server.add("good", CONTENT), server.add("never", CONTENT)
    got = fetch(tmp_path, server.url("gone"), good, never)
    assert got.url == good
    assert [path for path, _ in server.requests] == ["gone", "good"]


def test_a_mirror_continues_what_another_began(server: FileServer, tmp_path: Path, waits: list[float]) -> None:
    first = server.add("first", CONTENT, cuts=[600_000])
    second = server.add("second", CONTENT, etag='"its own"', checks_if_range=False)
    with pytest.raises(DataError):
        fetch(tmp_path, first, tries=1)
    fetch(tmp_path, second)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT
    assert server.sent["second"] < 400_000 + SLACK


def test_a_wrong_file_is_kept_aside(server: FileServer, tmp_path: Path) -> None:
    found = hashlib.sha256(OTHER).hexdigest()
    with pytest.raises(DataError, match=rf"{found}, expected {SHA256}; what came is kept as .*a\.zip\.rejected"):
        fetch(tmp_path, server.add("a", OTHER))
    assert names(tmp_path) == ["a.zip.rejected"]
    assert (tmp_path / "a.zip.rejected").read_bytes() == OTHER
    fetch(tmp_path, server.url("a"), server.add("b", CONTENT))
    assert (tmp_path / "a.zip").read_bytes() == CONTENT


def test_an_md5_is_compared_where_no_sha256_is_known(server: FileServer, tmp_path: Path) -> None:
    url = server.add("a", CONTENT)
    right = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()
    with pytest.raises(DataError, match=rf"its MD5 is {right}, expected 0{{32}}; what came is kept as"):
        download(Wanted(tmp_path / "a.zip", (url,), md5="0" * 32), Listener())
    assert names(tmp_path) == ["a.zip.rejected"]
    assert download(Wanted(tmp_path / "a.zip", (url,), md5=right), Listener()).sha256 == SHA256


def test_a_continued_file_that_is_wrong_is_fetched_anew(server: FileServer, tmp_path: Path, waits: list[float]) -> None:
    url = server.add("a", CONTENT, etag='"v1"', cuts=[600_000])
    with pytest.raises(DataError):
        fetch(tmp_path, url, tries=1)
    part = tmp_path / "a.zip.part"
    part.write_bytes(bytes(part.stat().st_size))
    fetch(tmp_path, url)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT
    assert names(tmp_path) == ["a.zip"]


@pytest.mark.parametrize("state", ["", "[]", '{"url": 3}', '{"url": "x", "total": "y"}', '{"more": 1}'])
def test_a_damaged_state_starts_anew(server: FileServer, tmp_path: Path, state: str) -> None:
    (tmp_path / "a.zip.part").write_bytes(CONTENT[:1000])
    (tmp_path / "a.zip.part.json").write_text(state)
    fetch(tmp_path, server.add("a", CONTENT))
    assert server.ranges_of("a") == [None]


def test_a_part_that_is_a_link_is_not_written_through(server: FileServer, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    folder = tmp_path / "f"
    folder.mkdir()
    (folder / "a.zip.part").symlink_to(victim)
    (folder / "a.zip.part.json").write_text('{"url": "x"}')
    fetch(folder, server.add("a", CONTENT))
    assert victim.read_bytes() == b"precious"


@pytest.mark.parametrize(
    ("size", "says_length", "said"),
    [
        (999_999, True, "it has 1,000,000 bytes, expected 999,999: it is not the registered file"),
        (999_999, False, "it has 1,000,000 bytes, expected 999,999: it is not the registered file"),
        (1_000_001, True, "it has 1,000,000 bytes, expected 1,000,001: it is not the registered file"),
        (1_000_001, False, "the connection was cut after 1,000,000 of 1,000,001 bytes"),
    ],
)
def test_a_wrong_length_is_refused(server: FileServer, tmp_path: Path, size: int, says_length: bool, said: str) -> None:
    url = server.add("a", CONTENT, says_length=says_length)
    with pytest.raises(DataError, match=said):
        fetch(tmp_path, url, sha256=None, size=size, tries=1)
    assert not (tmp_path / "a.zip").exists()


def test_no_length_is_known(server: FileServer, tmp_path: Path) -> None:
    assert fetch(tmp_path, server.add("a", CONTENT, says_length=False), sha256=None).bytes == len(CONTENT)


def test_endless_files_are_refused(server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partial, "MAX_BYTES", 500_000)
    with pytest.raises(DataError, match="more than 500,000 bytes"):
        fetch(tmp_path, server.add("a", CONTENT, says_length=False), sha256=None)
    assert names(tmp_path) == []


@pytest.mark.parametrize("kind", ["text/html; charset=utf-8", "application/octet-stream"])
def test_a_web_page_is_no_archive(server: FileServer, tmp_path: Path, kind: str) -> None:
    page = b"\n<!DOCTYPE html><html>Virus scan warning" + b" " * 100_000
    with pytest.raises(DataError, match="sends a web page in the place of the file"):
        fetch(tmp_path, server.add("a", page, kind=kind), sha256=None)
    assert not (tmp_path / "a.zip").exists()


def test_encoded_answers_are_refused(server: FileServer, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"sends it encoded \(gzip\)"):
        fetch(tmp_path, server.add("a", CONTENT, headers={"Content-Encoding": "gzip"}))


def test_redirects_are_followed(server: FileServer, tmp_path: Path) -> None:
    fetch(tmp_path, server.add("old", b"", redirect=server.add("a", CONTENT)))
    assert (tmp_path / "a.zip").read_bytes() == CONTENT


@pytest.mark.parametrize("target", ["ftp://127.0.0.1/a", "file:///etc/passwd", "javascript:alert(1)"])
def test_redirects_to_other_schemes_are_refused(server: FileServer, tmp_path: Path, target: str) -> None:
    with pytest.raises(DataError, match="neither http nor https, which is not followed"):
        fetch(tmp_path, server.add("old", b"", redirect=target))
    assert names(tmp_path) == []


def test_redirects_without_end(server: FileServer, tmp_path: Path) -> None:
    url = server.add("a", b"", redirect="/a")
    with pytest.raises(DataError, match="from one address to the next without end"):
        fetch(tmp_path, url)


@pytest.mark.parametrize("target", ["http://[", "http://127.0.0.1:99999999/a", f"http://{'a' * 300}/a"])
def test_redirects_to_nonsense(server: FileServer, tmp_path: Path, target: str) -> None:
    with pytest.raises(DataError, match="no valid address|request fails"):
        fetch(tmp_path, server.add("old", b"", redirect=target))


def test_an_empty_file_is_refused(server: FileServer, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="it is empty"):
        fetch(tmp_path, server.add("a", b""), sha256=None)
    assert not (tmp_path / "a.zip").exists()


def test_other_schemes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="only http and https addresses are fetched"):
        fetch(tmp_path, "file:///etc/passwd")


def dead_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def test_nobody_listens(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no connection to the server: check the network"):
        fetch(tmp_path, f"http://127.0.0.1:{dead_port()}/a")


def test_a_name_that_nobody_knows(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="its name cannot be found: check the network"):
        fetch(tmp_path, "http://nowhere.invalid/a")


def test_a_dead_proxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{dead_port()}")
    with pytest.raises(DataError, match="the proxy cannot be reached: check http_proxy"):
        fetch(tmp_path, "http://nowhere.invalid/a")


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("https_proxy", "nonsense://x", "the request fails|does not hold a valid address"),
        ("REQUESTS_CA_BUNDLE", "nowhere.pem", r"the request fails \(.*nowhere\.pem"),
    ],
)
def test_a_wrong_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(DataError, match=said):
        fetch(tmp_path, "https://nowhere.invalid/a")


def test_a_server_without_tls(server: FileServer, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the server offers no secure connection"):
        fetch(tmp_path, server.add("a", CONTENT).replace("http:", "https:"))


def test_a_network_that_goes_away_meanwhile_is_waited_for(
    server: FileServer, tmp_path: Path, waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = server.add("a", CONTENT, etag='"v1"', cuts=[600_000])
    real, calls = download_module.connect, []

    def connect(*args: object) -> object:
        calls.append(args)
        if len(calls) == 2:
            raise download_module.Failure("no connection", offline=True)
        return real(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(download_module, "connect", connect)
    fetch(tmp_path, url)
    assert len(calls) == 3


class FullDisk(io.BytesIO):
    def __init__(self, path: Path, room: int) -> None:
        super().__init__()
        self.path, self.room = path, room

    def write(self, data: bytes) -> int:  # type: ignore[override]
        if self.path.stat().st_size + len(data) > self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        with self.path.open("ab") as file:
            return file.write(data)


def test_a_disk_that_is_full_in_the_middle(server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(part: partial.Part) -> FullDisk:
        part.path.touch()
        return FullDisk(part.path, 500_000)

    url = server.add("a", CONTENT, etag='"v1"')
    with monkeypatch.context() as full:
        full.setattr(partial.Part, "opened", opened)
        with pytest.raises(DataError, match=r"cannot write a\.zip\.part under .*: the disk is full; free some space"):
            fetch(tmp_path, url)
    assert names(tmp_path) == ["a.zip.part", "a.zip.part.json"]
    kept = (tmp_path / "a.zip.part").stat().st_size
    assert kept > 400_000
    fetch(tmp_path, url)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT
    assert server.ranges_of("a") == [None, f"bytes={kept}-"]


def test_a_disk_without_room_is_found_before(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type("Usage", (), {"free": 10})
    monkeypatch.setattr(partial.shutil, "disk_usage", lambda folder: usage)
    with pytest.raises(DataError, match=r"it needs 1,000,000 more bytes and 10 are free"):
        fetch(tmp_path, server.add("a", CONTENT))
