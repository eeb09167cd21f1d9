from __future__ import annotations

from pathlib import Path

import pytest

from cmrbench.core.errors import DataError
from tools import sources


def test_missing_input_names_the_package_that_brings_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"font\.ttf.*apt-get install fonts-noto-color-emoji"):
        sources.require(tmp_path / "font.ttf", sources.FONT)
    with pytest.raises(DataError, match=r"no-such-program.*apt-get install librsvg2-bin"):
        sources.require_program("no-such-program", sources.RSVG)


def test_other_inputs_than_recorded_are_told(tmp_path: Path) -> None:
    absent = sources.Package("no-such-package-at-all", "1")
    changed = tmp_path / "emoji-test.txt"
    changed.write_text("")
    package, file = sources.deviations([absent], [changed])
    assert package == "no-such-package-at-all: 1 was used, none is installed"
    assert file.startswith("emoji-test.txt: not the recorded file (SHA-256 e3b0c442")
