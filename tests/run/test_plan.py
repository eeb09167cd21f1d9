"""Planning: everything a call names is resolved, or refused in one sentence, before anything is computed."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cmrbench.core.errors import CmrbenchError, UsageError
from cmrbench.registry import load_methods
from cmrbench.run.api import make_plan
from cmrbench.run.plan import RunRequest, plan_runs
from cmrbench.run.suites import find_suite, narrowed, read_config, suites
from cmrbench.store.store import Store

PLUGIN = Path(__file__).parent / "misbehaving.py"
TABLE = load_methods([PLUGIN])


def write():
    """A function, which no run key can hold."""


def plan(cache_dir=None, **changes):
    given = {"methods": ("cca",), "datasets": ("synthetic",), "device": "cpu"} | changes
    return plan_runs(RunRequest(**given), TABLE)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"methods": ("lmc",)}, r"unknown method 'lmc'; did you mean lcm"),
        ({"methods": ()}, "--methods is empty"),
        ({"methods": ("cca", " ")}, "--methods holds an empty name"),
        ({"methods": ("cca", "cca")}, "--methods names cca twice"),
        ({"datasets": ("emojy",)}, r"unknown dataset 'emojy'; did you mean emoji\?"),
        ({"datasets": ("emoji", "emoji")}, "--datasets names emoji twice"),
        ({"datasets": ("emoji/clip",)}, "unknown feature set of emoji 'clip'"),
        ({"datasets": ("nuswide",)}, "not on this machine.*licence.*cmrbench data import nuswide"),
        ({"bits": (0,)}, "--bits must lie between 1 and 4096, not 0"),
        ({"bits": (16, 16)}, "--bits names a length twice"),
        ({"seeds": ()}, "--seeds"),
        ({"seeds": (1, 1)}, "seeds must be different"),
        ({"seeds": (-1,)}, "seeds must be different whole numbers from 0 up"),
        ({"bits": ()}, "--bits is empty"),
        ({"dim": 0}, "--dim"),
        ({"threads": 0}, "--threads"),
        ({"preset": "quik", "methods": ("drcl",)}, r"unknown preset of drcl 'quik'; did you mean quick\?"),
        ({"retrievals": ("cosin",)}, r"did you mean cosine\?"),
        ({"retrievals": ("hamming",)}, "cca gives real outputs"),
        ({"retrievals": ("score",)}, "cca has no score of its own"),
        ({"settings": {"cca": {"ridge": 1}}}, "unknown parameter of cca 'ridge'"),
        ({"settings": {"kca": {"reg": 1}}}, "unknown method or dataset in --set 'kca'"),
        ({"settings": {"lcm": {"k": "many"}}, "methods": ("lcm",)}, "expected int like the default 50, got str"),
        ({"settings": {"lcm": {"k": [1, len]}}, "methods": ("lcm",)}, "expected int like the default"),
        ({"settings": {"takes_functions": {"largest": float("nan")}}, "methods": ("takes_functions",)}, "got nan"),
        ({"settings": {"takes_functions": {"kernel": write}}, "methods": ("takes_functions",)}, "expected a number, a"),
        ({"device": "tpu"}, "--device must be auto, cpu or cuda, not 'tpu'"),
    ],
)
def test_what_cannot_be_resolved_is_refused(cache_dir, changes, words):
    with pytest.raises(CmrbenchError, match=words) as caught:
        plan(**changes)
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)


def test_a_grid(cache_dir):
    runs = plan(methods=("random", "cca", "random_hash"), bits=(16, 32), seeds=(0, 1, 2))
    by_method = {}
    for r in runs:
        by_method.setdefault(r.spec.method, []).append((r.spec.bits, r.spec.seed))
    assert by_method["cca"] == [(None, 0)], "deterministic methods run once"
    assert len(by_method["random"]) == 3
    assert len(by_method["random_hash"]) == 6
    assert len({r.run_key for r in runs}) == len({r.spec.spec_key for r in runs}) == len(runs)


def test_keys_are_stable_and_sensitive(cache_dir):
    (base,) = plan()
    (again,) = plan()
    assert (again.run_key, again.spec.spec_key) == (base.run_key, base.spec.spec_key)
    (other,) = plan(settings={"cca": {"reg": 0.5}})
    assert other.spec.spec_key != base.spec.spec_key
    (strategy,) = plan(retrievals=("euclidean",))
    assert strategy.spec.spec_key == base.spec.spec_key, "how it is measured is not part of what was asked of the run"
    assert strategy.run_key != base.run_key
    (threads,) = plan(threads=2)
    assert threads.run_key != base.run_key
    (data,) = plan(settings={"synthetic": {"n_train": 99}})
    assert data.spec.spec_key != base.spec.spec_key


def test_keys_take_numpy_numbers_for_numbers(cache_dir):
    (plain,) = plan(methods=("lcm",), settings={"lcm": {"k": 7}})
    (numpy_s,) = plan(methods=("lcm",), settings={"lcm": {"k": np.int64(7)}})
    assert numpy_s.run_key == plain.run_key
    assert type(dict(numpy_s.spec.params)["k"]) is int


def test_keys_are_equal_in_every_process_whatever_the_defaults_are(cache_dir):
    code = (
        "from cmrbench.registry import load_methods\n"
        "from cmrbench.run.plan import RunRequest, plan_runs\n"
        f"table = load_methods([{str(PLUGIN)!r}])\n"
        "request = RunRequest(('takes_functions',), ('synthetic',), device='cpu')\n"
        "junk = [object() for _ in range(int(__import__('sys').argv[1]))]\n"
        "print(plan_runs(request, table)[0].run_key)\n"
    )
    call = [sys.executable, "-c", code]
    keys = {subprocess.check_output([*call, n], env=os.environ | {"PYTHONHASHSEED": n}) for n in ("1", "999")}
    assert len(keys) == 1


def test_the_run_key_of_built_in_methods_follows_their_blocks(cache_dir, monkeypatch):
    import cmrbench.registry as registry

    (before,) = plan()
    real = registry.digest_file
    monkeypatch.setattr(registry, "digest_file", lambda p: "changed" if p.name == "linear.py" else real(p))
    (after,) = plan()
    assert after.run_key != before.run_key
    assert after.spec.spec_key == before.spec.spec_key


def test_the_run_key_follows_the_source(cache_dir, tmp_path):
    text = (Path(__file__).parent / "misbehaving.py").read_text()
    keys = []
    for i, body in enumerate((text, text + "\n# changed\n")):
        folder = tmp_path / str(i)
        folder.mkdir()
        file = folder / "plugin.py"
        file.write_text(body)
        request = RunRequest(methods=("good",), datasets=("synthetic",), device="cpu")
        (run,) = plan_runs(request, load_methods([file]))
        keys.append((run.spec.spec_key, run.run_key))
    assert keys[0][0] == keys[1][0]
    assert keys[0][1] != keys[1][1]


def test_the_presets(cache_dir):
    (auto,) = plan(methods=("drcl",), datasets=("emoji",))
    (none,) = plan(methods=("drcl",), datasets=("emoji",), preset="none")
    (paper,) = plan(methods=("drcl",), datasets=("emoji",), preset="paper")
    assert (auto.spec.preset, none.spec.preset, paper.spec.preset) == ("quick", "", "paper")
    assert auto.resolved != none.resolved


def test_what_the_declarations_rule_out_is_planned_as_declined(cache_dir, tmp_path):
    (run,) = plan(datasets=("emoji/multilingual",))
    assert "cca takes 2 modalities" in run.declined


def test_one_run_asked_for_twice_is_planned_once(cache_dir, tmp_path):
    request = RunRequest(methods=("cca",), datasets=("synthetic",), device="cpu")
    assert len(make_plan([request, request], TABLE, Store(tmp_path)).runs) == 1


def test_every_suite_can_be_planned_but_for_missing_data(cache_dir):
    for name, suite in suites().items():
        for entry in suite.entries:
            request = entry.request("cpu", 1)
            present = tuple(d for d in request.datasets if d != "wiki") or ("emoji",)
            asked = {k: getattr(request, k) for k in ("methods", "bits", "seeds", "settings", "preset")}
            assert plan(**asked, datasets=present), name


def test_narrowing_a_suite():
    suite = narrowed(find_suite("quick"), ["cca", "scm"], [], [16], 1)
    assert [e.methods for e in suite.entries] == [["cca"], ["scm"]]
    assert all(e.bits == [16] and e.seeds == 1 for e in suite.entries)
    with pytest.raises(UsageError, match="unknown method of the suite 'drlc'"):
        narrowed(find_suite("quick"), ["drlc"], [], [], None)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("entries: [{methods: [cca], datasets: [emoji], seed: 3}]", "entries.0.seed.*known keys: methods"),
        ("entries: [{methods: cca, datasets: [emoji]}]", "entries.0.methods"),
        ("title: x", "entries"),
        ("entries: []", "entries: List should have at least 1 item"),
        ("a: [", "cannot be read"),
        ("- 1", "not valid"),
    ],
)
def test_a_bad_configuration_is_one_sentence(tmp_path, text, words):
    file = tmp_path / "config.yaml"
    file.write_text(text)
    with pytest.raises(UsageError, match=words) as caught:
        read_config(file)
    assert str(file) in str(caught.value)


def test_a_missing_configuration(tmp_path):
    with pytest.raises(UsageError, match="cannot be read"):
        read_config(tmp_path / "none.yaml")
