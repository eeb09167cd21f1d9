"""Users' strings: durations, sizes, lists, settings."""

import pytest
from typer.testing import CliRunner

from cmrbench.cli import app, parsing
from cmrbench.core.errors import UsageError


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("30m", 1800), ("1h30m", 5400), ("0.5h", 1800), ("none", None)]
)
def test_duration(text, seconds):
    assert parsing.duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "count"),
    [("8GiB", 8 * 2**30), ("512MB", 512 * 10**6), ("100", 100), ("1.5gib", 3 * 2**29), ("2k", 2000), ("none", None)],
)
def test_size(text, count):
    assert parsing.size(text) == count


@pytest.mark.parametrize("text", ["", "soon", "-5m", "0", "5 parsecs"])
def test_bad_durations(text):
    with pytest.raises(UsageError, match="--timeout"):
        parsing.duration(text)


@pytest.mark.parametrize("text", ["", "much", "-1GiB", "0", "8 bits"])
def test_bad_sizes(text):
    with pytest.raises(UsageError, match="--max-memory"):
        parsing.size(text)


def test_settings_are_typed():
    given = ["lcm.k=50", "cca.reg=1e-3", "scm.variant=orth", "x.flag=true", "drcl.lr=[0.1, 0.2]", "lcm.a=0.5"]
    assert parsing.settings(given) == {
        "lcm": {"k": 50, "a": 0.5},
        "cca": {"reg": 0.001},
        "scm": {"variant": "orth"},
        "x": {"flag": True},
        "drcl": {"lr": [0.1, 0.2]},
    }


@pytest.mark.parametrize("text", ["lcm.k", "k=5", "=", "lcm.=5", "lcm.k=[1"])
def test_bad_settings(text):
    with pytest.raises(UsageError, match="--set"):
        parsing.settings([text])


def test_a_setting_given_twice_is_refused():
    with pytest.raises(UsageError, match="twice"):
        parsing.settings(["lcm.k=5", "lcm.k=6"])


@pytest.mark.parametrize("text", ["a,,b", ",a", ""])
def test_empty_names(text):
    with pytest.raises(UsageError, match="empty name"):
        parsing.names(text, "--methods")


def test_integers():
    assert parsing.integers("16, 32", "--bits") == (16, 32)
    with pytest.raises(UsageError, match="whole numbers"):
        parsing.integers("16,x", "--bits")


def test_completion_goes_on_from_the_last_name():
    assert "cca,kcca" in list(parsing.complete_methods("cca,k"))
    assert "cca" not in list(parsing.complete_methods("cca,c"))
    assert "emoji" in list(parsing.complete_datasets("em"))
    assert "quick" in list(parsing.complete_suites(""))


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("check cc", "cca"),
        ("check cca --only output_sh", "output_shape"),
        ("run --retrieval cosine,2", "cosine,2sknn"),
        ("run --device c", "cuda"),
        ("report --dataset openclipart_", "openclipart_tags"),
        ("gate --methods cca,kc", "cca,kcca"),
        ("eval --ties stab", "stable"),
    ],
)
def test_the_shell_is_offered(words, offered):
    line = f"cmrbench {words}"
    environment = {"_CMRBENCH_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(line.count(" "))}
    result = CliRunner().invoke(app, [], prog_name="cmrbench", env=environment)
    assert offered in result.output.split()


def test_a_metric_has_one_name():
    assert parsing.metric_name("map@50") == parsing.metric_name("mAP@50[hits,expected]") == "mAP@50"
    assert parsing.metric_name("mAP") == "mAP@all"
    with pytest.raises(UsageError, match="unknown metric"):
        parsing.metric_name("accuracy")
