"""`cmrbench data audit`: what it prints, keeps and ends with, and the warning of `cmrbench run` after it."""

from __future__ import annotations

import json
from pathlib import Path

import made_data
import numpy as np
import pytest
from commands import invoked

from cmrbench.cli import app
from cmrbench.core.errors import UsageError
from cmrbench.data import load_catalogue, load_dataset
from cmrbench.data.audit import Audit, AuditOptions, Finding, Unchecked
from cmrbench.data.audit.stored import audit_parts, leak_warning, save_audit, stored_audit
from cmrbench.data.audit.view import audit_markdown, lines


def output(*arguments: object, code: int = 0) -> str:
    return invoked(app, *arguments, code=code).stdout


@pytest.fixture
def leaky(tmp_path: Path, own_cache: Path) -> Path:
    """A catalogue with a dataset `mine`, four of whose six query pictures are training pictures, and a sound one."""
    content = made_data.arrays()
    content["image"][np.flatnonzero(content["split"] == "query")[:4]] = content["image"][:4]
    made_data.save(tmp_path / "mine", content)
    made_data.save(tmp_path / "sound", made_data.arrays(seed=4))
    entries = {name: made_data.entry(folder=f"./{name}") for name in ("mine", "sound")}
    return made_data.write_catalogue(tmp_path / "datasets.yaml", entries)


def test_a_leak_ends_with_1_and_is_kept(leaky: Path, own_cache: Path) -> None:
    shown = output("data", "audit", "mine", "--datasets-file", leaky, code=1)
    assert "1 leak, " in shown
    assert "4 of 6 query items" in " ".join(shown.replace("│", " ").split())
    (kept,) = (own_cache / "audits" / "mine").iterdir()
    assert str(kept) in "".join(shown.split())
    dataset = load_dataset("mine", catalogue=load_catalogue([leaky]))
    audit = stored_audit(dataset.name, dataset.feature_set, dataset.fingerprint)
    assert audit is not None
    assert [(f.check, f.subject) for f in audit.leaks] == [("equal_rows", "image: query in train")]
    assert [p.name for p in kept.parent.iterdir()] == [kept.name]  # nothing half-written is left


def test_sound_data_ends_with_0(leaky: Path) -> None:
    assert "0 leaks, " in output("data", "audit", "sound", "--datasets-file", leaky)


def test_json_is_the_audit(leaky: Path, own_cache: Path) -> None:
    found = json.loads(output("data", "audit", "mine", "--datasets-file", leaky, "--json", "--no-save", code=1))
    assert found["stored"] is None
    assert not (own_cache / "audits").exists()
    assert found["leaks"] == 1
    audit = Audit.from_json(found)
    assert audit.options == AuditOptions()
    assert Audit.from_json(json.loads(json.dumps(audit.as_json()))) == audit


def test_options_reach_the_audit(leaky: Path) -> None:
    call = ("data", "audit", "sound", "--datasets-file", leaky, "--json", "--no-save")
    assert json.loads(output(*call, "--sample", 5, "--threshold", "0.8"))["options"] == {
        "threshold": 0.8,
        "sample": 5,
        "seed": 0,
    }
    assert json.loads(output(*call, "--sample", 0))["options"]["sample"] is None
    for wrong in (["--threshold", "1"], ["--threshold", "0.1"], ["--sample", "-3"]):
        with pytest.raises(UsageError, match=r"^--(threshold|sample) must be at least"):
            output(*call, *wrong)
    with pytest.raises(UsageError, match="exclude each other"):
        output(*call, "--markdown")


def test_run_warns_of_a_leak_that_was_found(leaky: Path, tmp_path: Path) -> None:
    call = ["run", "--methods", "random", "--datasets", "mine,sound", "--datasets-file", str(leaky), "--dry-run"]
    call += ["--results", str(tmp_path / "results")]
    assert "audit" not in invoked(app, *call).stderr
    output("data", "audit", "mine", "--datasets-file", leaky, code=1)
    output("data", "audit", "sound", "--datasets-file", leaky)
    (line,) = (each for each in invoked(app, *call).stderr.splitlines() if "audit" in each)
    assert line.startswith("warning: an audit of mine/plain found a leak: equal_rows, image: query in train, 66.7 %")
    assert line.endswith("see `cmrbench data audit mine/plain`")


def an_audit(**changes: object) -> Audit:
    fields: dict[str, object] = {
        "dataset": "wiki:drcl+noise=0.4",
        "feature_set": "sift-lda",
        "fingerprint": "ab" * 32,
        "options": AuditOptions(),
        "checks": ("equal_rows",),
        "findings": (Finding("equal_rows", "leak", "image: query in train", 0.5, "half", examples=("a = b",)),),
        "unchecked": (Unchecked("near_rows", "text", "no angles"),),
    }
    return Audit(**(fields | changes))  # type: ignore[arg-type]


def test_a_stored_audit_comes_back(own_cache: Path) -> None:
    audit = an_audit()
    path = save_audit(audit)
    assert path.relative_to(own_cache).as_posix() == f"audits/wiki/sift-lda-{'ab' * 8}.json"
    assert stored_audit(audit.dataset, audit.feature_set, audit.fingerprint) == audit
    assert stored_audit(audit.dataset, audit.feature_set, "cd" * 32) is None
    assert stored_audit(audit.dataset, audit.feature_set, "ab" * 8 + "0" * 48) is None  # the same first digits
    warning = leak_warning(audit.dataset, audit.feature_set, audit.fingerprint)
    assert warning is not None
    assert "`cmrbench data audit wiki/sift-lda:drcl+noise=0.4`" in warning


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"version": 1}', "null", '{"findings": 3}', "\xff"])
def test_a_damaged_file_is_no_audit(own_cache: Path, text: str) -> None:
    audit = an_audit()
    path = save_audit(audit)
    path.write_text(text, encoding="latin-1")
    assert stored_audit(audit.dataset, audit.feature_set, audit.fingerprint) is None
    save_audit(audit)
    assert stored_audit(audit.dataset, audit.feature_set, audit.fingerprint) == audit


def test_an_audit_by_older_checks_is_no_audit(own_cache: Path) -> None:
    audit = an_audit(version=0)
    save_audit(audit)
    assert stored_audit(audit.dataset, audit.feature_set, audit.fingerprint) is None


def test_names_lead_nowhere_else() -> None:
    assert audit_parts("..", "../../x", "ab" * 32) == ("audits", "_", f"__.._x-{'ab' * 8}.json")


def test_an_unwritable_cache_is_said_in_words(own_cache: Path) -> None:
    from cmrbench.core.errors import DataError

    own_cache.mkdir()
    (own_cache / "audits").write_text("a file", encoding="utf-8")
    with pytest.raises(DataError, match="cannot store the audit"):
        save_audit(an_audit())


def test_findings_that_say_the_same_are_one_line() -> None:
    found = [
        Finding("chance_level", "note", f"p: {d}", 0.1, "x", "score") for d in ("a -> b", "b -> a", "a -> c", "c -> a")
    ]
    found += [Finding("chance_level", "note", "q: a -> b", 0.1, "x", "score")]
    assert [line.where for line in lines(found)] == ["p: a -> b, b -> a and 2 more", "q: a -> b"]


def test_markdown_shows_what_files_say_and_obeys_none_of_it() -> None:
    evil = "<script>alert(1)</script> | \n# x"
    found = Finding("equal_rows", "leak", "image: query in train", 0.5, "half", examples=(evil,))
    shown = audit_markdown(an_audit(findings=(found,)))
    assert "<script>" not in shown
    row = next(line for line in shown.splitlines() if line.startswith("| `equal_rows`"))
    assert row.count("|") == 6
    assert "\n# x" not in shown
    assert "near_rows (text): no angles" in shown


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [(0.0, "share", "0.0 %"), (0.00432, "share", "0.43 %"), (0.5, "share", "50.0 %"), (1234.0, "count", "1,234"),
     (-0.0001, "score", "0.000"), (0.0771, "score", "0.077"), (2.51612, "number", "2.516"), (None, "share", "")],
)  # fmt: skip
def test_figures_as_people_read_them(value: float | None, unit: str, shown: str) -> None:
    assert Finding("c", "note", "s", value, "d", unit).shown == shown


def test_a_finding_is_sound() -> None:
    with pytest.raises(ValueError, match="not finite"):
        Finding("c", "note", "s", float("nan"), "d")
    with pytest.raises(ValueError, match="severity"):
        Finding("c", "bad", "s", 0.0, "d")
