"""Fetching a dataset: terms, what is there already, what is recorded, several processes at once."""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import made_data
import pytest
import yaml
from file_server import FileServer

from cmrbench.core.errors import DataError, DatasetMissingError, UsageError
from cmrbench.data.catalogue import Catalogue, load_catalogue
from cmrbench.data.fetching import fetch as fetch_module
from cmrbench.data.fetching import terms
from cmrbench.data.fetching.download import Listener
from cmrbench.data.fetching.fetch import Fetched, fetch_dataset
from cmrbench.data.sources import locate

A, B = random.Random(1).randbytes(300_000), random.Random(2).randbytes(200_000)


class Setup:
    """A catalogue of one dataset, `made`, written anew for each change."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "made.yaml"
        self.folder = folder / "cache" / "sources" / "made"
        self.entry: dict[str, Any] = {
            "title": "Made",
            "summary": "A dataset.",
            "licence": "Research only.",
            "citation": "Nobody, 2024",
            "homepage": "https://made.invalid",
            "builder": "npz",
            "labels": {"classes": 4},
            "feature_sets": {
                "one": {
                    "default": True,
                    "modalities": {"image": {"extractor": "x"}, "text": {"extractor": "y"}},
                }
            },
            "protocols": [{"name": "all", "query": ["query"], "gallery": ["gallery"]}],
        }

    def catalogue(self, *sources: dict[str, Any], **changed: Any) -> Catalogue:
        self.entry |= {"sources": list(sources)} | changed
        self.file.write_text(yaml.safe_dump({"datasets": {"made": self.entry}}), encoding="utf-8")
        os.utime(self.file, ns=(0, random.Random(self.file.read_text()).getrandbits(40)))
        return load_catalogue([self.file])

    def record(self) -> dict[str, Any]:
        return json.loads((self.folder / "import.json").read_text())["files"]  # type: ignore[no-any-return]

    def there(self) -> list[str]:
        return sorted(p.name for p in self.folder.iterdir()) if self.folder.exists() else []


@pytest.fixture
def setup(own_cache: Path, tmp_path: Path) -> Setup:
    return Setup(tmp_path)


def source(file: str, *urls: str, content: bytes | None = None, **more: Any) -> dict[str, Any]:
    known = {} if content is None else {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    return {"file": file, "url": list(urls), **known, **more}


def fetch(catalogue: Catalogue, **how: Any) -> Fetched:
    return fetch_dataset("made", catalogue, accept_licence=True, **how)


def test_all_files_and_their_record(server: FileServer, setup: Setup) -> None:
    url_a, url_b = server.add("x/a", A), server.add("b", B)
    done = fetch(setup.catalogue(source("a.zip", url_a, content=A), source("b.mat", url_b, content=B)))
    assert (setup.folder / "a.zip").read_bytes() == A
    assert (setup.folder / "b.mat").read_bytes() == B
    assert setup.there() == ["a.zip", "b.mat", "import.json"]
    assert [(f.file, f.bytes, f.registered, f.new, f.url) for f in done.files] == [
        ("a.zip", len(A), True, True, url_a),
        ("b.mat", len(B), True, True, url_b),
    ]
    record = setup.record()
    assert record["a.zip"]["sha256"] == hashlib.sha256(A).hexdigest()
    assert record["b.mat"]["bytes"] == len(B)
    assert done.notes == ()


def test_what_came_is_recorded_when_a_later_file_does_not(server: FileServer, setup: Setup) -> None:
    url = server.add("a", A)
    with pytest.raises(DataError, match=r"b\.mat"):
        fetch(setup.catalogue(source("a.zip", url), source("b.mat", server.add("b", A), content=B)))
    assert setup.record().keys() == {"a.zip"}
    assert setup.record()["a.zip"]["sha256"] == hashlib.sha256(A).hexdigest()
    assert setup.record()["a.zip"]["url"] == url


def test_files_that_are_there_stay(server: FileServer, setup: Setup) -> None:
    catalogue = setup.catalogue(source("a.zip", server.add("a", A), content=A))
    fetch(catalogue)
    before = setup.record()
    done = fetch(catalogue)
    assert len(server.requests) == 1
    assert [f.new for f in done.files] == [False]
    assert setup.record() == before


def test_a_fetched_dataset_loads(server: FileServer, setup: Setup, tmp_path: Path) -> None:
    from cmrbench.data import load_dataset

    content = (made_data.save(tmp_path / "here", made_data.arrays()) / "data.npz").read_bytes()
    setup.entry["labels"]["multilabel"] = True
    catalogue = setup.catalogue(source("data.npz", server.add("d", content), content=content))
    fetch(catalogue)
    queries = made_data.SIZES["query"]
    assert load_dataset("made", catalogue=catalogue).sizes["query"] == {"image": queries, "text": queries}


def test_the_licence_is_accepted_once_and_asked_again_when_it_changes(server: FileServer, setup: Setup) -> None:
    given = source("a.zip", server.add("a", A), content=A)
    catalogue = setup.catalogue(given)
    with pytest.raises(UsageError, match=r"licence of 'made' has not been accepted yet \(Research only\); accept it"):
        fetch_dataset("made", catalogue)
    assert server.requests == []
    fetch(catalogue)
    assert terms.accepted("made", catalogue.entry("made"))
    fetch_dataset("made", catalogue)
    fetch_dataset("made", setup.catalogue(given, licence="Research\n  only."))
    with pytest.raises(UsageError, match="has not been accepted yet"):
        fetch_dataset("made", setup.catalogue(given, licence="Research only, and no commerce."))


@pytest.mark.parametrize("content", ["", "[]", '{"made": 3}', '{"made": {}}'])
def test_a_damaged_list_of_terms_accepts_nothing(setup: Setup, own_cache: Path, content: str) -> None:
    entry = setup.catalogue(source("a.zip")).entry("made")
    own_cache.mkdir()
    (own_cache / "terms.json").write_text(content)
    assert not terms.accepted("made", entry)
    terms.accept("made", entry)
    assert terms.accepted("made", entry)
    assert set(json.loads((own_cache / "terms.json").read_text())["made"]) == {"licence_digest", "licence", "date"}


def test_a_first_hash_is_recorded_and_kept_to(server: FileServer, setup: Setup) -> None:
    catalogue = setup.catalogue(source("a.zip", server.add("a", A)))
    done = fetch(catalogue)
    assert not done.files[0].registered
    assert "recorded as the one to expect from now on" in done.notes[0]
    (setup.folder / "a.zip").unlink()
    server.files["a"].content = B
    with pytest.raises(DataError, match=hashlib.sha256(A).hexdigest()):
        fetch(catalogue)
    assert "a.zip" not in setup.there()
    assert "a.zip.rejected" in setup.there()
    server.files["a"].content = A
    assert "as at the first fetch" in fetch(catalogue).notes[0]


def test_a_wrong_file_that_lies_there_is_moved_aside(server: FileServer, setup: Setup) -> None:
    setup.folder.mkdir(parents=True)
    (setup.folder / "a.zip").write_bytes(B)
    done = fetch(setup.catalogue(source("a.zip", server.add("a", A), content=A)))
    assert (setup.folder / "a.zip").read_bytes() == A
    assert (setup.folder / "a.zip.rejected").read_bytes() == B
    assert "was not the expected file" in done.notes[0]


def test_a_wrong_checksum_says_the_way_out(server: FileServer, setup: Setup) -> None:
    with pytest.raises(DataError) as caught:
        fetch(setup.catalogue(source("a.zip", server.add("a", B), content=A), source("b", server.add("b", B))))
    assert "cmrbench data import made --from FOLDER" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert setup.there() == []


def test_files_without_an_address_are_asked_for(server: FileServer, setup: Setup) -> None:
    with pytest.raises(DatasetMissingError, match=r"cannot be fetched by a program; Ask .*cmrbench data import made"):
        fetch(setup.catalogue(source("a.zip"), obtain="Ask\n nobody@made.invalid."))
    catalogue = setup.catalogue(source("a.zip"), source("b.mat", server.add("b", B), content=B))
    with pytest.raises(DatasetMissingError, match=r"a\.zip cannot be fetched .*Ask nobody.*put it into .*made and run"):
        fetch(catalogue)
    (setup.folder / "a.zip").write_bytes(A)
    done = fetch(catalogue)
    assert [(f.file, f.new) for f in done.files] == [("a.zip", False), ("b.mat", False)]


def test_attachments_come_when_asked_for(server: FileServer, setup: Setup) -> None:
    catalogue = setup.catalogue(
        source("a.zip", server.add("a", A), content=A),
        source("b.mat", server.url("gone"), attachment=True),
        source("c.zip", attachment=True),
        source("p.zip", server.add("p", B), content=B, attachment=True),
    )
    assert [f.file for f in fetch(catalogue).files] == ["a.zip"]
    done = fetch(catalogue, attachments=True)
    assert [f.file for f in done.files] == ["a.zip", "p.zip"]
    assert any("b.mat cannot be fetched" in note for note in done.notes)
    assert any("c.zip has no address and is left out" in note for note in done.notes)


def test_the_variant_that_can_be_had_is_chosen(server: FileServer, setup: Setup) -> None:
    catalogue = setup.catalogue(
        source("a.rar", variant="hand"), source("b.npz", server.add("b", B), content=B, variant="web")
    )
    assert fetch(catalogue).variant == "web"
    assert setup.there() == ["b.npz", "import.json"]


def test_a_variant_that_is_there_is_enough(server: FileServer, setup: Setup) -> None:
    catalogue = setup.catalogue(
        source("c.zip", server.add("c", A), content=A),
        source("a.rar", server.add("a", A), content=A, variant="archive"),
        source("a.dat", variant="unpacked"),
    )
    setup.folder.mkdir(parents=True)
    (setup.folder / "a.dat").write_bytes(B)
    assert fetch(catalogue).variant == "unpacked"
    assert [path for path, _ in server.requests] == ["c"]


def test_archives_that_only_a_person_can_unpack(server: FileServer, setup: Setup) -> None:
    done = fetch(setup.catalogue(source("G.rar", server.add("g", A), content=A)))
    assert f"unpack it by hand into {setup.folder / 'G'}" in done.notes[0]


@pytest.mark.parametrize(("name", "said"), [("emoji", "read from"), ("synthetic", "made in memory")])
def test_some_need_no_fetch(name: str, said: str) -> None:
    with pytest.raises(UsageError, match=f"dataset '{name}' needs no fetch: it is {said}"):
        fetch_dataset(name)


def test_a_shared_cache_that_has_it_is_enough(
    server: FileServer, setup: Setup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogue = setup.catalogue(source("a.zip", server.add("a", A), content=A))
    fetch(catalogue)
    monkeypatch.setenv("CMRBENCH_DATA", os.pathsep.join([str(tmp_path / "cache"), str(tmp_path / "mine")]))
    done = fetch(catalogue)
    assert done.folder == setup.folder
    assert "only read" in done.notes[0]
    assert len(server.requests) == 1


def test_a_shared_cache_that_has_another_feature_set(
    server: FileServer, setup: Setup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modalities = setup.entry["feature_sets"]["one"]["modalities"]
    setup.entry["feature_sets"] = {
        "one": {"default": True, "modalities": modalities, "variants": ["a"]},
        "two": {"modalities": modalities, "variants": ["b"]},
    }
    catalogue = setup.catalogue(
        source("a.npz", server.add("a", A), content=A, variant="a"),
        source("b.npz", server.add("b", B), content=B, variant="b"),
    )
    fetch(catalogue, feature_set="one")
    monkeypatch.setenv("CMRBENCH_DATA", os.pathsep.join([str(tmp_path / "cache"), str(tmp_path / "mine")]))
    assert fetch(catalogue, feature_set="two").folder == tmp_path / "mine" / "sources" / "made"
    two = catalogue.entry("made").feature_sets["two"]
    assert locate(catalogue, "made", two).folder == tmp_path / "mine" / "sources" / "made"
    assert locate(catalogue, "made").folder == setup.folder


def test_a_damaged_record_is_said(server: FileServer, setup: Setup) -> None:
    setup.folder.mkdir(parents=True)
    (setup.folder / "import.json").write_text('{"files": [')
    with pytest.raises(DataError, match=r"import\.json is damaged; delete it"):
        fetch(setup.catalogue(source("a.zip", server.add("a", A), content=A)))


def test_a_folder_that_cannot_be_written(server: FileServer, setup: Setup, own_cache: Path) -> None:
    own_cache.mkdir()
    (own_cache / "sources").write_text("a file")
    with pytest.raises(DataError, match="cannot write made under"):
        fetch(setup.catalogue(source("a.zip", server.add("a", A), content=A)))


def command(setup: Setup) -> subprocess.Popen[str]:
    code = "from cmrbench.cli import main; main()"
    arguments = ["data", "fetch", "made", "--accept-licence", "--datasets-file", str(setup.file)]
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_two_processes_fetch_once(server: FileServer, setup: Setup) -> None:
    gate = threading.Event()
    setup.catalogue(source("a.zip", server.add("a", A, gate=gate), content=A))
    first = command(setup)
    assert server.files["a"].first_bytes.wait(30)
    second = command(setup)
    assert second.stderr is not None
    assert second.stderr.readline() == "note: another process is bringing made; waiting for it\n"
    gate.set()
    assert "fetched a.zip" in first.communicate(timeout=30)[0]
    assert "already here: a.zip" in second.communicate(timeout=30)[0]
    assert (first.returncode, second.returncode) == (0, 0)
    assert server.sent["a"] == len(A)
    assert (setup.folder / "a.zip").read_bytes() == A


def test_a_killed_process_is_continued(server: FileServer, setup: Setup) -> None:
    gate = threading.Event()
    catalogue = setup.catalogue(source("a.zip", server.add("a", A, etag='"1"', gate=gate), content=A))
    killed = command(setup)
    part = setup.folder / "a.zip.part"
    try:
        assert server.files["a"].first_bytes.wait(30)
        for _ in range(1000):
            if part.exists() and part.stat().st_size > 64 << 10:
                break
            threading.Event().wait(0.01)
    finally:
        killed.kill()
        killed.communicate()
    gate.set()
    kept = part.stat().st_size
    assert kept > 64 << 10
    assert not (setup.folder / "a.zip").exists()
    fetch(catalogue)
    assert server.ranges_of("a")[-1] == f"bytes={kept}-"
    assert (setup.folder / "a.zip").read_bytes() == A


def test_waiting_and_progress_reach_the_listener(server: FileServer, setup: Setup) -> None:
    heard: list[tuple[str, int, int | None]] = []

    class Hears(Listener):
        def position(self, file: str, done: int, total: int | None) -> None:
            heard.append((file, done, total))

    fetch_dataset("made", setup.catalogue(source("a.zip", server.add("a", A))), accept_licence=True, listener=Hears())
    assert heard[0] == ("a.zip", 0, len(A))
    assert heard[-1] == ("a.zip", len(A), len(A))
    assert fetch_module.needs_fetch(setup.catalogue(source("a.zip")).entry("made"))
