"""Source folders and archives: every file by name, and nothing of an archive that cannot be trusted."""

from __future__ import annotations

import gzip
import io
import os
import random
import stat
import struct
import tarfile
import tracemalloc
import unicodedata
import zipfile
from pathlib import Path

import pytest

from cmrbench.core.errors import DataError
from cmrbench.data.archives import Limits, SourceTree
from cmrbench.data.archives import lines as lines_module

KINDS = ("zip", "tar", "tar.gz", "tgz", "tar.bz2", "tar.xz")
FILES = {
    "G/AllLabels/Labels_sky.txt": b"1\r\n0\r\n",
    "G/AllLabels/Labels_Sun.txt": b"0\n",
    "G/im 1.jpg": random.Random(1).randbytes(70_000),
    "G/im2.jpg": random.Random(2).randbytes(512),
    "G/\u00e9t\u00e9 \u732b.txt": b"caption",
    "G/empty.txt": b"",
}


def pack(path: Path, files: dict[str, bytes] | list[tuple[str, bytes]] = FILES) -> Path:
    pairs = list(files.items()) if isinstance(files, dict) else files
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in pairs:
                archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    else:
        kind = {"tar": "", "gz": "gz", "tgz": "gz", "bz2": "bz2", "xz": "xz"}[path.name.rpartition(".")[2]]
        with tarfile.open(path, f"w:{kind}") as archive:  # type: ignore[call-overload]
            for name, content in pairs:
                info = tarfile.TarInfo(name)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return path


def tar_with(path: Path, **fields: object) -> Path:
    with tarfile.open(path, "w") as archive:
        for name in ("good.txt", "bad"):
            info = tarfile.TarInfo(name)
            if name == "bad":
                for field, value in fields.items():
                    setattr(info, field, value)
            archive.addfile(info)
    return path


def zip_with(path: Path, content: bytes = b"x", **fields: object) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        info = zipfile.ZipInfo("bad")
        for field, value in fields.items():
            setattr(info, field, value)
        archive.writestr(info, content)
    return path


def refused(folder: Path, limits: Limits | None = None) -> str:
    """What is said of a folder with one bad archive, of which no file may come."""
    with SourceTree(folder, limits=limits) as tree, pytest.raises(DataError) as caught:
        tree.names()
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- reading ---


@pytest.mark.parametrize("kind", KINDS)
def test_members_are_read_without_unpacking(tmp_path: Path, kind: str) -> None:
    pack(tmp_path / f"A.{kind}")
    before = sorted(tmp_path.iterdir())
    with SourceTree(tmp_path) as tree:
        assert tree.names() == tuple(f"A.{kind}/{name}" for name in FILES)
        for name, content in random.Random(0).sample(sorted(FILES.items()), len(FILES)):
            found = tree.find(name)
            assert found == f"A.{kind}/{name}"
            assert tree.read(found) == content
            assert tree.size(found) == len(content)
        wanted = [n for n in FILES if n.endswith(".jpg")]
        assert [(n, s.read()) for n, s in tree.iterate("*.jpg")] == [(f"A.{kind}/{n}", FILES[n]) for n in wanted]
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("kind", KINDS)
def test_two_members_open_at_once(tmp_path: Path, kind: str) -> None:
    pack(tmp_path / f"A.{kind}")
    with SourceTree(tmp_path) as tree:
        one, two = tree.open(tree.find("im 1.jpg")), tree.open(tree.find("im2.jpg"))
        first = one.read(100)
        assert two.read() == FILES["G/im2.jpg"]
        assert first + one.read() == FILES["G/im 1.jpg"]


@pytest.mark.parametrize("kind", KINDS)
def test_iterate_while_others_are_opened(tmp_path: Path, kind: str) -> None:
    pack(tmp_path / f"A.{kind}")
    with SourceTree(tmp_path) as tree:
        for name, stream in tree.iterate("*.txt"):
            assert tree.read(name) == stream.read()
        again = [name for name, _ in tree.iterate("*.txt")]  # streams that nobody reads
    assert again == [f"A.{kind}/{n}" for n in FILES if n.endswith(".txt")]


def test_opening_in_order_is_one_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cmrbench.data.archives import tars

    pack(tmp_path / "A.tar.gz", {f"im{n:03}.jpg": bytes([n]) * 2000 for n in range(100)})
    passes = []
    real = tars._Forward.__init__

    def counted(*args: object) -> None:
        passes.append(1)
        real(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(tars._Forward, "__init__", counted)
    with SourceTree(tmp_path) as tree:
        assert [tree.read(n)[0] for n in tree.find_all("im*.jpg")] == list(range(100))
        assert len(passes) == 2
        assert tree.read("A.tar.gz/im005.jpg") == bytes([5]) * 2000
        assert len(passes) == 3


def test_plain_files_and_archives_are_one_tree(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "list.txt").write_bytes(b"a")
    (tmp_path / "z.mat").write_bytes(b"b")
    pack(tmp_path / "A.zip", {"m.txt": b"c"})
    pack(tmp_path / "notes" / "B.tar", {"n.txt": b"d"})
    with SourceTree(tmp_path) as tree:
        assert tree.names() == ("A.zip/m.txt", "notes/B.tar/n.txt", "notes/list.txt", "z.mat")
        assert [tree.read(n) for n in tree.names()] == [b"c", b"d", b"a", b"b"]
        assert [n for n, _ in tree.iterate("*.txt")] == ["A.zip/m.txt", "notes/B.tar/n.txt", "notes/list.txt"]
    with SourceTree(tmp_path, files=["z.mat", "not there.zip", "notes"]) as tree:
        assert tree.names() == ("notes/B.tar/n.txt", "notes/list.txt", "z.mat")


def test_what_is_no_source_is_not_seen(tmp_path: Path) -> None:
    for name in ("a.txt", ".hidden", "import.json", "b.zip.part", "b.zip.part.json", "b.zip.rejected"):
        (tmp_path / name).write_bytes(b"x")
    assert SourceTree(tmp_path).names() == ("a.txt",)


def test_path_gives_a_real_file(tmp_path: Path) -> None:
    folder, scratch = tmp_path / "f", tmp_path / "s"
    folder.mkdir()
    scratch.mkdir()
    pack(folder / "A.zip", {"a/x y.mat": b"one", "b/x y.mat": b"two"})
    (folder / "plain.mat").write_bytes(b"p")
    with SourceTree(folder) as tree:
        assert tree.path("plain.mat", scratch) == folder / "plain.mat"
        one, two = (tree.path(n, scratch) for n in tree.find_all("x y.mat"))
        assert (one.read_bytes(), two.read_bytes()) == (b"one", b"two")
        assert one.suffix == ".mat"
        assert tree.path("A.zip/a/x y.mat", scratch) == one
    assert {p.parent for p in (one, two)} == {scratch}


# --- names ---


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("labels_SKY.txt", ["G/AllLabels/Labels_sky.txt"]),
        ("alllabels/Labels_*.txt", ["G/AllLabels/Labels_Sun.txt", "G/AllLabels/Labels_sky.txt"]),
        ("A.zip/G/*.jpg", ["G/im 1.jpg", "G/im2.jpg"]),
        ("im?.jpg", ["G/im2.jpg"]),
        ("\u00c9T\u00c9 *", ["G/\u00e9t\u00e9 \u732b.txt"]),
        ("G/Labels_sky.txt", []),
        ("Labels", []),
        ("X/Y/Z/A.zip/G/im2.jpg", []),
    ],
)
def test_patterns(tmp_path: Path, pattern: str, found: list[str]) -> None:
    pack(tmp_path / "A.zip")
    with SourceTree(tmp_path) as tree:
        assert tree.find_all(pattern) == [f"A.zip/{n}" for n in found]
        assert tree.has(pattern) == bool(found)
        if len(found) == 1:
            assert tree.find(pattern) == f"A.zip/{found[0]}"


def test_accents_compare_however_they_are_written(tmp_path: Path) -> None:
    pack(tmp_path / "A.zip", {unicodedata.normalize("NFD", "caf\u00e9.txt"): b""})
    with SourceTree(tmp_path) as tree:
        assert tree.has("CAF\u00c9.txt")


def test_what_macos_adds_never_matches(tmp_path: Path) -> None:
    pack(tmp_path / "A.zip", {"l/x.txt": b"1", "__MACOSX/l/._x.txt": b"2", "l/._x.txt": b"3", "__MACOSX/x.txt": b"4"})
    with SourceTree(tmp_path) as tree:
        assert tree.find("*.txt") == "A.zip/l/x.txt"


def test_several_matches_are_an_error(tmp_path: Path) -> None:
    pack(tmp_path / "A.zip", {f"{d}/x.txt": b"" for d in "abcd"})
    with SourceTree(tmp_path) as tree, pytest.raises(DataError, match=r"several .* A\.zip/a/x\.txt, .* and 1 more"):
        tree.find("x.txt")


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.txt").touch()
    with SourceTree(tmp_path) as tree:
        with pytest.raises(DataError, match=r"holds no file 'x\.txt'; it holds a\.txt"):
            tree.find("x.txt")
        with pytest.raises(DataError, match=r"holds no file 'x\.txt'"):
            tree.open("x.txt")
        with pytest.raises(DataError, match="is no file name or pattern"):
            tree.find("a//b")
    with pytest.raises(DataError, match="is not a folder"):
        SourceTree(tmp_path / "none").names()


@pytest.mark.parametrize("name", ["Low.rar", "Low.7z"])
def test_archives_for_a_person_to_unpack(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"Rar!")
    with SourceTree(tmp_path, files=[name]) as tree:
        assert tree.names() == ()
        with pytest.raises(DataError, match=rf"{name}, which is not read: unpack it by hand into .*Low and leave"):
            tree.find("x.dat")
    (tmp_path / "Low").mkdir()
    (tmp_path / "Low" / "x.dat").write_bytes(b"1")
    with SourceTree(tmp_path, files=[name]) as tree:
        assert tree.read(tree.find("x.dat")) == b"1"


@pytest.mark.parametrize("kind", KINDS)
def test_a_leading_dot_and_windows_separators(tmp_path: Path, kind: str) -> None:
    pack(tmp_path / f"A.{kind}", {"./d/a.txt": b"1", "d\\b.txt": b"2", "d//c.txt": b"3"})
    with SourceTree(tmp_path) as tree:
        assert tree.names() == tuple(f"A.{kind}/d/{x}.txt" for x in "abc")
        assert [tree.read(n) for n in tree.names()] == [b"1", b"2", b"3"]


def test_names_in_utf8_without_the_mark_for_it(tmp_path: Path) -> None:
    path = pack(tmp_path / "A.zip", {"AAAA.txt": b"x"})
    path.write_bytes(path.read_bytes().replace(b"AAAA", "\u732bA".encode()))
    with SourceTree(tmp_path) as tree:
        assert tree.names() == ("A.zip/\u732bA.txt",)
        assert tree.read("A.zip/\u732bA.txt") == b"x"


def test_names_that_are_not_utf8_can_be_stored(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "A.tar", "w", format=tarfile.GNU_FORMAT, encoding="latin-1") as archive:
        archive.addfile(tarfile.TarInfo("\u00e9.txt"))
    with SourceTree(tmp_path) as tree:
        (name,) = tree.names()
        assert name.encode() == "A.tar/\u00e9.txt".encode()
        assert tree.read(name) == b""


# --- text ---


@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 1 << 20])
def test_lines_of_all_systems(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    monkeypatch.setattr(lines_module, "_CHUNK", chunk)
    (tmp_path / "a.txt").write_bytes("\ufeffone\r\ntwo\rthree\n\n\r\n\u2028 \x0b\x85\u00e9\r\r\nend".encode())
    with SourceTree(tmp_path) as tree:
        found = list(tree.lines("a.txt"))
    assert found == ["one", "two", "three", "", "", "\u2028 \x0b\x85\u00e9", "", "end"]


def test_a_line_that_does_not_decode_has_a_number(tmp_path: Path) -> None:
    pack(tmp_path / "A.zip", {"a.txt": b"ok\nal\xe9so\n"})
    with SourceTree(tmp_path) as tree:
        with pytest.raises(DataError, match=r"A\.zip/a\.txt line 2 is not utf-8: byte 0xe9 at 2"):
            list(tree.lines("A.zip/a.txt"))
        assert list(tree.lines("A.zip/a.txt", "latin-1")) == ["ok", "al\u00e9so"]


@pytest.mark.parametrize("end", [b"", b"\n", b"\nmore\n"])
def test_endless_lines_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: bytes) -> None:
    monkeypatch.setattr(lines_module, "LONGEST_LINE", 1000)
    monkeypatch.setattr(lines_module, "_CHUNK", 300)
    (tmp_path / "a.txt").write_bytes(b"x\n" + b"y" * 1002 + end)
    with SourceTree(tmp_path) as tree, pytest.raises(DataError, match="line 2 is longer than 1,000 bytes"):
        list(tree.lines("a.txt"))


def test_limits_of_read_and_json(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b"\xef\xbb\xbf" + b'{"a": [1, "\xc3\xa9"]}')
    (tmp_path / "deep.json").write_bytes(b"[" * 200_000)
    (tmp_path / "nan.json").write_bytes(b"[NaN]")
    with SourceTree(tmp_path) as tree:
        assert tree.json("a.json") == {"a": [1, "\u00e9"]}
        assert tree.read("a.json", limit=tree.size("a.json")) == (tmp_path / "a.json").read_bytes()
        with pytest.raises(DataError, match=r"a\.json has more than 10 bytes"):
            tree.json("a.json", limit=10)
        for name in ("deep.json", "nan.json"):
            with pytest.raises(DataError, match=f"{name} is not JSON"):
                tree.json(name)


# --- hostile and broken archives ---


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("../x", "leads out"),
        ("a/../../x", "leads out"),
        ("a\\..\\..\\x", "leads out"),
        ("/etc/passwd", "absolute path"),
        ("C:\\x", "absolute path"),
        ("c:x", "absolute path"),
        ("\\\\server\\share", "absolute path"),
    ],
)
def test_names_that_lead_out(tmp_path: Path, kind: str, name: str, said: str) -> None:
    pack(tmp_path / f"A.{kind}", [("good.txt", b"x"), (name, b"x")])
    message = refused(tmp_path)
    assert said in message
    assert f"A.{kind}: member {name!r}" in message


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
@pytest.mark.parametrize("second", ["a.txt", "./a.txt", "b/../a.txt"])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_duplicates(tmp_path: Path, kind: str, second: str) -> None:
    pack(tmp_path / f"A.{kind}", [("a.txt", b"1"), (second, b"2")])
    assert ("leads out" if ".." in second else "member 'a.txt' is there twice") in refused(tmp_path)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"}, "is a link (to '/etc/passwd')"),
        ({"type": tarfile.LNKTYPE, "linkname": "good.txt"}, "is a link (to 'good.txt')"),
        ({"type": tarfile.CHRTYPE}, "device"),
        ({"type": tarfile.BLKTYPE}, "device"),
        ({"type": tarfile.FIFOTYPE}, "special file"),
    ],
)
def test_links_and_devices_in_tars(tmp_path: Path, fields: dict[str, object], said: str) -> None:
    tar_with(tmp_path / "A.tar", **fields)
    message = refused(tmp_path)
    assert said in message
    assert "member 'bad'" in message


def test_sparse_files_in_tars(tmp_path: Path) -> None:
    pack(tmp_path / "A.tar", {"a": b"x" * 512})
    raw = bytearray((tmp_path / "A.tar").read_bytes())
    header = bytearray(raw[:512])
    header[156:157] = b"S"
    header[257:265] = b"ustar  \0"
    header[386:410] = b"%011o\0%011o\0" % (0, 512)
    header[483:495] = b"%011o\0" % (1 << 30)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    raw[:512] = header
    (tmp_path / "A.tar").write_bytes(raw)
    assert "sparse" in refused(tmp_path)


@pytest.mark.parametrize(
    ("mode", "said"), [(stat.S_IFLNK, "symbolic link"), (stat.S_IFCHR, "device"), (stat.S_IFIFO, "special file")]
)
def test_links_and_devices_in_zips(tmp_path: Path, mode: int, said: str) -> None:
    zip_with(tmp_path / "A.zip", content=b"/etc/passwd", external_attr=(mode | 0o777) << 16)
    assert said in refused(tmp_path)


def patched(path: Path, field: int, value: bytes) -> None:
    """Overwrite bytes of the first entry of the zip's directory."""
    raw = bytearray(path.read_bytes())
    at = raw.index(b"PK\x01\x02") + field
    raw[at : at + len(value)] = value
    path.write_bytes(raw)


def test_encrypted_members(tmp_path: Path) -> None:
    patched(zip_with(tmp_path / "A.zip"), 8, struct.pack("<H", 1))
    assert "holds an encrypted member, 'bad': unpack it by hand into" in refused(tmp_path)
    (tmp_path / "A").mkdir()
    pack(tmp_path / "A" / "x.zip", {"y.txt": b"by hand"})
    for chosen in (None, ["A.zip"]):
        with SourceTree(tmp_path, chosen) as tree:
            assert tree.names() == ("A/x.zip/y.txt",)
            with pytest.raises(DataError, match=r"holds no file 'bad', but A\.zip, which is not read"):
                tree.find("bad")


def test_unknown_compression(tmp_path: Path) -> None:
    patched(zip_with(tmp_path / "A.zip"), 10, struct.pack("<H", 9))
    assert "packed by the method Deflate64, 'bad', which is not read: unpack it by hand" in refused(tmp_path)


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
def test_too_many_members(tmp_path: Path, kind: str) -> None:
    pack(tmp_path / f"A.{kind}", {f"{n}.txt": b"" for n in range(11)})
    assert "more than 10 files" in refused(tmp_path, Limits(members=10))


@pytest.mark.parametrize("kind", KINDS)
def test_too_large_in_all(tmp_path: Path, kind: str) -> None:
    pack(tmp_path / f"A.{kind}", {f"{n}.txt": os.urandom(1000) for n in range(10)})
    assert "unpacks to more than 5,000 bytes" in refused(tmp_path, Limits(total=5_000))


@pytest.mark.parametrize("kind", ["zip", "tar.gz", "tar.bz2", "tar.xz"])
def test_bombs(tmp_path: Path, kind: str) -> None:
    pack(tmp_path / f"A.{kind}", {"bomb.txt": bytes(20 << 20)})
    message = refused(tmp_path, Limits(ratio=100, ratio_from=1 << 20))
    assert "as a decompression bomb does" in message
    with SourceTree(tmp_path, limits=Limits(ratio=100, ratio_from=40 << 20)) as tree:
        assert tree.names()


def test_a_member_that_lies_about_its_size(tmp_path: Path) -> None:
    path = zip_with(tmp_path / "A.zip", content=bytes(1 << 20))
    patched(path, 24, struct.pack("<I", 10))
    with SourceTree(tmp_path) as tree, pytest.raises(DataError, match=r"A\.zip: member 'bad' is damaged or cut off"):
        tree.read("A.zip/bad")


def test_members_that_overlap(tmp_path: Path) -> None:
    path = zip_with(tmp_path / "A.zip", content=os.urandom(1000))
    patched(path, 20, struct.pack("<I", 1 << 20))
    assert "members overlap" in refused(tmp_path)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("keep", [0.02, 0.5, 0.9, 0.95])
def test_archives_that_are_cut_off(tmp_path: Path, kind: str, keep: float) -> None:
    path = pack(tmp_path / f"A.{kind}", {f"{n}.bin": random.Random(n).randbytes(9_000) for n in range(20)})
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])
    message = refused(tmp_path)
    assert f"A.{kind} is damaged or cut off" in message
    assert "get it again" in message


def test_a_tar_that_is_cut_between_members(tmp_path: Path) -> None:
    path = pack(tmp_path / "A.tar", {"a": b"x" * 512, "b": b"y" * 512})
    path.write_bytes(path.read_bytes()[:1024])
    assert "A.tar is damaged or cut off" in refused(tmp_path)


def test_a_tar_with_a_damaged_header_does_not_just_end_there(tmp_path: Path) -> None:
    path = pack(tmp_path / "A.tar", {"a": b"x" * 512, "b": b"y" * 512})
    content = bytearray(path.read_bytes())
    content[1024 + 150] ^= 0xFF
    path.write_bytes(content)
    assert "A.tar is damaged or cut off" in refused(tmp_path)


def test_a_tar_that_goes_on_after_its_end(tmp_path: Path) -> None:
    path = pack(tmp_path / "A.tar", {"a": b"x"})
    path.write_bytes(path.read_bytes() * 2)
    assert "goes on after its end mark" in refused(tmp_path)


def test_a_tar_header_that_would_fill_the_memory(tmp_path: Path) -> None:
    info = tarfile.TarInfo("long")
    info.type = tarfile.GNUTYPE_LONGNAME
    info.size = 4 << 30
    (tmp_path / "A.tar").write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(4096))
    tracemalloc.start()
    try:
        assert "damaged or cut off" in refused(tmp_path)
        assert tracemalloc.get_traced_memory()[1] < 64 << 20
    finally:
        tracemalloc.stop()


def test_a_wrong_crc_in_a_zip(tmp_path: Path) -> None:
    path = pack(tmp_path / "A.zip", {"a.bin": os.urandom(5000), "b.txt": b"fine"})
    content = bytearray(path.read_bytes())
    content[2000] ^= 1
    path.write_bytes(content)
    with SourceTree(tmp_path) as tree:
        assert tree.read("A.zip/b.txt") == b"fine"
        with pytest.raises(DataError, match=r"A\.zip: member 'a\.bin' is damaged or cut off"):
            tree.read("A.zip/a.bin")


def test_a_wrong_crc_in_a_gzip(tmp_path: Path) -> None:
    path = pack(tmp_path / "A.tar.gz", {"a.bin": os.urandom(5000)})
    content = bytearray(path.read_bytes())
    content[-8] ^= 1
    path.write_bytes(content)
    assert "CRC check failed" in refused(tmp_path)


@pytest.mark.parametrize("kind", KINDS)
def test_other_files_with_an_archives_name(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"A.{kind}"
    path.write_bytes(b"")
    assert "is empty" in refused(tmp_path)
    path.write_bytes(b"\n<!DOCTYPE html><html>Sign in" + b" " * 2000)
    assert "no archive but a web page" in refused(tmp_path)
    path.write_bytes(os.urandom(3000))
    assert "is damaged or cut off" in refused(tmp_path)
    path.write_bytes(gzip.compress(b"not a tar"))
    assert "is damaged or cut off" in refused(tmp_path)


def test_a_member_that_vanishes_meanwhile(tmp_path: Path) -> None:
    path = pack(tmp_path / "A.tar")
    with SourceTree(tmp_path) as tree:
        name = tree.find("im 1.jpg")
        path.write_bytes(path.read_bytes()[:4000])
        with pytest.raises(DataError, match=r"A\.tar: member 'G/im 1\.jpg' is damaged or cut off"):
            tree.read(name)


@pytest.mark.parametrize("kind", KINDS)
def test_random_damage_is_refused_in_words(tmp_path: Path, kind: str) -> None:
    path = pack(tmp_path / f"A.{kind}")
    good, chance = path.read_bytes(), random.Random(3)
    said = []
    for _ in range(60):
        raw = bytearray(good)
        start, stop = sorted(chance.randrange(len(raw)) for _ in "ab")
        damage = chance.choice(("flip", "cut", "splice"))
        if damage == "flip":
            raw[start] ^= 1 << chance.randrange(8)
        else:
            raw = raw[:start] if damage == "cut" else raw[:start] + raw[stop:]
        path.write_bytes(raw)
        try:
            with SourceTree(tmp_path) as tree:
                for name in tree.names():
                    tree.read(name)
        except DataError as error:
            said.append(str(error))
    assert len(said) > 20
    assert all(f"A.{kind}" in message for message in said)


# --- the plain folder ---


def test_links_inside_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "f"
    folder.mkdir()
    (folder / "a.txt").write_bytes(b"x")
    (folder / "b.txt").symlink_to("a.txt")
    assert SourceTree(folder).names() == ("a.txt", "b.txt")
    (tmp_path / "link").symlink_to(folder)
    assert SourceTree(tmp_path / "link").names() == ("a.txt", "b.txt")


@pytest.mark.parametrize("chosen", [None, ["l.txt"]])
def test_links_out_of_the_folder(tmp_path: Path, chosen: list[str] | None) -> None:
    folder = tmp_path / "f"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(b"x")
    out = "that leads out of"
    for target, said in ((tmp_path / "secret", out), (tmp_path, out), ("none", "to nothing")):
        (folder / "l.txt").unlink(missing_ok=True)
        (folder / "l.txt").symlink_to(target)
        with pytest.raises(DataError, match=rf"l\.txt is a link {said}"):
            SourceTree(folder, chosen).names()


def test_chosen_files_stay_in_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "f"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(b"x")
    with pytest.raises(DataError, match="leads out of"):
        SourceTree(folder, ["../secret"]).names()


def test_pipes_are_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.txt")
    with pytest.raises(DataError, match=r"a\.txt is not a plain file"):
        SourceTree(tmp_path).names()
