"""A method that goes back to an earlier state gets its earlier results back."""

import textwrap

import pytest
from typer.testing import CliRunner

import cmrbench
from cmrbench.cli import app
from cmrbench.report.current import current_rows
from cmrbench.store.store import Store

STATES = {
    "good": "return features",
    "worse": "return features * np.float32([1, 0, 0, 0])",
    "broken": "raise ValueError('broken')",
}


@pytest.fixture
def plugin(tmp_path):
    path = tmp_path / "changing.py"

    def put(state):
        path.write_text(
            textwrap.dedent(f'''
                import numpy as np

                from cmrbench.method import Method, MethodInfo


                class Changing(Method):
                    """Hands on what it gets."""

                    info = MethodInfo(
                        name="changing", title="Changing", category="baseline", supervision="none", deterministic=True,
                        citation="None.",
                    )

                    def __init__(self):
                        pass

                    def fit(self, train, val, context):
                        self.fitted_ = True
                        return self

                    def encode(self, modality, features):
                        features = np.ascontiguousarray(features[:, :4], dtype=np.float32)
                        {STATES[state]}
            ''')
        )
        return path

    return put


def values(folder):
    rows = current_rows(Store(folder).table(), ["value", "status"])
    return [(row["status"], row["value"]) for row in rows]


@pytest.mark.parametrize("between", ["worse", "broken"])
def test_an_earlier_state_answers_again(cache_dir, tmp_path, plugin, between):
    folder = tmp_path / "results"

    def run(state):
        cmrbench.run(["changing"], ["synthetic"], plugins=[plugin(state)], results=folder)
        return values(folder)

    good = run("good")
    measured = Store(folder).table().column("created")[0].as_py()
    assert run(between) != good
    assert run("good") == good

    [again] = {
        dict(e)["measured"] for e in Store(folder).table().column("environment").to_pylist() if "measured" in dict(e)
    }
    assert again == measured
    stamps = {path: path.stat().st_mtime_ns for path in Store(folder).files()}
    run("good")
    assert {path: path.stat().st_mtime_ns for path in Store(folder).files()} == stamps, "nothing to do, nothing written"


def test_so_it_is_on_the_command_line(cache_dir, tmp_path, plugin):
    folder = tmp_path / "results"

    def run(state, *more):
        options = ["--methods", "changing", "--datasets", "synthetic", "--plugin", str(plugin(state))]
        assert CliRunner().invoke(app, ["run", *options, "--results", str(folder), *more]).exit_code == 0
        return values(folder)

    good = run("good")
    worse = run("worse")
    assert run("good", "--dry-run") == worse
    assert run("good") == good
