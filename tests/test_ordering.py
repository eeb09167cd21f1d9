"""Methods order sensibly on emoji, in both directions."""

import pytest

import cmrbench

DIRECTIONS = ("image->text", "text->image")


@pytest.fixture(scope="module")
def values(cache_dir, tmp_path_factory):
    """{(method, retrieval): {direction: mAP@all}} of one seed, as `cmrbench run` gives it."""
    methods = ["random", "cca", "kcca", "dscmr", "clip4cmr", "drcl", "lcm", "raw_2sknn", "label_oracle"]
    table = cmrbench.run(methods, ["emoji"], results=tmp_path_factory.mktemp("results"))
    found: dict[tuple[str, str], dict[str, float]] = {}
    for row in table.to_pylist():
        if row["metric"] == "mAP@all":
            found.setdefault((row["method"], row["retrieval"]), {})[row["direction"]] = row["value"]
    return found


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_random_cca_kcca_supervised(values, direction):
    shallow = [values[m, "cosine"][direction] for m in ("random", "cca", "kcca")]
    deep = [values[m, "cosine"][direction] for m in ("dscmr", "clip4cmr", "drcl")]
    assert shallow == sorted(shallow)
    assert max(shallow) < min(deep)
    assert max(deep) < values["label_oracle", "cosine"][direction] == 1.0


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_lcm_needs_its_label_reading_search(values, direction):
    """LCM's label-free ranking is no better than CCA's here; its search gains much, as it does without training."""
    plain, search = values["lcm", "euclidean"][direction], values["lcm", "2sknn"][direction]
    assert values["random", "cosine"][direction] + 0.1 < plain < search
    assert plain < values["raw_2sknn", "2sknn"][direction]


@pytest.mark.slow
def test_drcl_learns_six_modalities_at_once(cache_dir, tmp_path):
    table = cmrbench.run(["drcl", "random"], ["emoji/multilingual"], results=tmp_path)
    by_method: dict[str, dict[str, float]] = {}
    for row in table.to_pylist():
        if row["metric"] == "mAP@all":
            by_method.setdefault(row["method"], {})[row["direction"]] = row["value"]
    assert len(by_method["drcl"]) == 6 * 5
    assert min(by_method["drcl"].values()) > 3 * max(by_method["random"].values())
