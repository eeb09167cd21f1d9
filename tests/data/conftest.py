"""Fixtures that the tests of datasets share: an empty cache, a network without proxies, and a server on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from file_server import FileServer, serving

pytest.register_assert_rewrite("bad_shell", "commands")  # modules with assertions that are no tests


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache folder of one test, which nothing has made yet."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("CMRBENCH_DATA", str(folder))
    return folder


@pytest.fixture
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the proxies that the environment names."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def server(no_proxy: None) -> Iterator[FileServer]:
    """A web server that nobody has put a file on yet."""
    with serving() as running:
        yield running
