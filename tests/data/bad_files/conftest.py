"""A shell for what is typed, and a server that is not waited for."""

from __future__ import annotations

from pathlib import Path

import pytest
from bad_shell import Shell
from file_server import FileServer

from cmrbench.data.fetching import download


@pytest.fixture
def shell(own_cache: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    return Shell(own_cache, capsys, monkeypatch)


@pytest.fixture
def server(server: FileServer, monkeypatch: pytest.MonkeyPatch) -> FileServer:
    monkeypatch.setattr(download.time, "sleep", lambda seconds: None)
    return server
