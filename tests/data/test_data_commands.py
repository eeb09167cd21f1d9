"""`cmrbench data`: prints what there is, as tables and as JSON, and ends with the right code."""

from __future__ import annotations

import json
from pathlib import Path

import made_data
import numpy as np
import pytest
from commands import invoked

from cmrbench.cli.data import app
from cmrbench.core.errors import DatasetMissingError, UnknownNameError


def output(*arguments: object, code: int = 0) -> str:
    return invoked(app, *arguments, code=code).stdout


def test_list(own_cache: Path) -> None:
    states = {d["name"]: d["state"] for d in json.loads(output("list", "--json"))}
    assert states["emoji"] == states["openclipart_tags"] == "embedded"
    assert states["wiki"] == states["nuswide10k"] == "missing"
    assert states["synthetic"] == "generated"
    shown = output("list")
    assert all(name in shown for name in states)
    assert "939/161/155/312" in shown
    assert max(map(len, shown.splitlines()[:-2])) <= 110


def test_list_says_how_the_missing_are_had(own_cache: Path) -> None:
    had = {d["name"]: d["download"] for d in json.loads(output("list", "--json"))}
    assert had["emoji"]["how"] == had["synthetic"]["how"] == "nothing"
    assert had["labelme"]["how"] == "bring features"
    assert had["xmedia"]["how"] == "by hand"
    assert had["nuswide"]["how"] == "fetch and unpack"
    assert had["iaprtc12"]["how"] == "fetch, rest by hand"
    assert had["mscoco"] == {"how": "fetch", "feature_set": "raw", "bytes": 252872794, "complete": True}
    assert had["flickr30k"]["bytes"] == 36745453
    shown = " ".join(output("list").split())
    assert "fetch" in shown
    assert "241.2 MiB" in shown
    assert "over 1.1 GiB" not in shown  # the size of CUB's pictures is known, and all that can be fetched


def test_list_says_what_was_brought(own_cache: Path, tmp_path: Path) -> None:
    assert "+ imported" not in output("list")
    output("import", "labelme", "--from", made_data.save(tmp_path / "mine", made_data.arrays()) / "data.npz")
    assert {d["name"]: d["state"] for d in json.loads(output("list", "--json"))}["labelme"] == "features"
    assert "+ imported" in output("list")


def test_info() -> None:
    described = json.loads(output("info", "emoji", "--json"))
    assert described["splits"]["multilingual"]["standard"]["train"] == 924
    assert described["feature_sets"]["classic-bow"]["modalities"]["text"]["dims"] == 452
    shown = output("info", "emoji")
    for part in ("SIL OFL 1.1", "classic-minilm (default)", "text_ja", "all-test", "query + ", "mAP@all"):
        assert part in shown
    assert "cmrbench data import iaprtc12" in json.loads(output("info", "iapr", "--json"))["how_to_get"]


def test_verify(own_cache: Path) -> None:
    checks = json.loads(output("verify", "openclipart", "--json"))
    assert {c["status"] for c in checks} == {"ok"}
    assert "checks passed" in output("verify", "openclipart")
    assert json.loads(output("verify", "synthetic", "--json"))[0]["status"] == "ok"
    with pytest.raises(DatasetMissingError, match="dataset 'nuswide10k'"):
        output("verify", "nuswide10k")


def test_import_then_verify_a_damaged_copy(own_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made_data.register(tmp_path.with_name(tmp_path.name + "-registered"), monkeypatch)
    folder = made_data.save(tmp_path / "brought", made_data.arrays())
    assert json.loads(output("import", "mine", "--from", folder, "--json"))["dataset"] == "mine"
    assert "without a registered SHA-256" in output("import", "MINE", "--from", folder)
    assert {d["name"]: d["state"] for d in json.loads(output("list", "--json"))}["mine"] == "imported"
    with (own_cache / "sources" / "mine" / "data.npz").open("ab") as file:
        file.write(b"x")
    checks = json.loads(output("verify", "mine", "--json", code=1))
    assert [c["status"] for c in checks] == ["bad"]


def test_unknown_name() -> None:
    with pytest.raises(UnknownNameError, match="did you mean emoji"):
        output("info", "emojy")


def test_info_shows_feature_sets_of_this_machine(
    own_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    rng, labels = np.random.default_rng(0), np.arange(60) % 3
    arrays = {"image": rng.random((60, 7)), "text": rng.random((60, 5)), "label": labels}
    np.savez(tmp_path / "mine.npz", split=["train"] * 40 + ["query"] * 10 + ["gallery"] * 10, **arrays)
    output("import", "caltech256", "--from", tmp_path / "mine.npz", "--as", "vgg", "--about", "image=VGG-19 fc7")
    assert "vgg (on this machine) │ image      │ 7    │ VGG-19 fc7" in output("info", "caltech256")
    (here,) = (own_cache / "features" / "caltech256").iterdir()
    local = json.loads(output("info", "caltech256", "--json"))["local_feature_sets"]
    assert local["vgg"]["folder"] == str(here)
    assert local["vgg"]["modalities"]["text"]["dims"] == 5

    (here / "feature_set.json").write_text("{}", encoding="utf-8")
    shown = output("info", "caltech256")
    assert "vgg (on this machine)" in shown
    assert "delete the folder" in " ".join(shown.replace("│", " ").split())
    assert "caltech256" in output("list")


def test_values_are_compared_with_the_registered_fingerprints(
    own_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = made_data.save(tmp_path / "data", made_data.arrays())
    for fingerprint, code in (("0" * 64, 1), ("", 0)):
        known = fingerprint or json.loads(output("verify", "ours", "--json", code=1))[-1]["detail"][12:76]
        entry = made_data.entry(folder=str(folder), fingerprints={"plain": known})
        registered = made_data.write_catalogue(tmp_path / "ours.yaml", {"ours": entry})
        monkeypatch.setenv("CMRBENCH_DATASETS", str(registered))
        checks = json.loads(output("verify", "ours", "--json", code=code))
        assert [c["status"] for c in checks if c["kind"] == "values"] == ["bad" if code else "ok"]


def test_a_file_that_nothing_is_known_of_is_not_called_as_imported(
    own_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = made_data.entry(folder=str(made_data.save(tmp_path / "data", made_data.arrays())))
    registered = made_data.write_catalogue(tmp_path / "ours.yaml", {"ours": entry})
    monkeypatch.setenv("CMRBENCH_DATASETS", str(registered))
    source = next(c for c in json.loads(output("verify", "ours", "--json")) if c["kind"] == "source")
    assert source["detail"] == "no SHA-256 is known: nothing to compare with"
