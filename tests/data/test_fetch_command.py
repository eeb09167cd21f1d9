"""`cmrbench data fetch` as a user types it: the question for the licence, bars, JSON, errors in one sentence."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path

import made_data
import pytest
from file_server import FileServer

CONTENT = random.Random(1).randbytes(2_000_000)
LICENCE = "Research only; ask [bold]before[/bold] you publish."


class Shell:
    """Runs the command with a catalogue of the datasets `one` and `two`."""

    def __init__(self, folder: Path, server: FileServer) -> None:
        self.folder = folder
        self.file = folder / "made.yaml"
        self.environment = os.environ | {"CMRBENCH_DATA": str(folder / "cache"), "TERM": "xterm", "COLUMNS": "100"}
        entry = {
            "title": "Made",
            "summary": "A dataset.",
            "licence": LICENCE,
            "citation": "Nobody, 2024",
            "builder": "npz",
            "feature_sets": {"x": {"default": True, "modalities": {m: {"extractor": "x"} for m in ("image", "text")}}},
            "protocols": [{"name": "all", "query": ["query"], "gallery": ["gallery"]}],
        }
        sha256 = hashlib.sha256(CONTENT).hexdigest()
        datasets = {}
        for name in ("one", "two"):
            source = {"file": f"{name}.zip", "url": [server.add(name, CONTENT)], "sha256": sha256}
            datasets[name] = {**entry, "sources": [source], "aliases": {f"{name}-alias": "mind the split"}}
        made_data.write_catalogue(self.file, datasets)

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "cmrbench", "data", "fetch", *arguments, "--datasets-file", str(self.file)]

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments),
            capture_output=True,
            text=True,
            timeout=60,
            env=self.environment,
            stdin=subprocess.DEVNULL,
        )

    def at_a_terminal(self, typed: str, *arguments: str) -> tuple[int, str]:
        """Exit code and all that the terminal shows."""
        pty = pytest.importorskip("pty")
        own, terminal = pty.openpty()
        os.write(own, typed.encode())
        process = subprocess.Popen(
            self.command(*arguments), stdin=terminal, stdout=terminal, stderr=terminal, env=self.environment
        )
        os.close(terminal)
        shown = b""
        with contextlib.suppress(OSError):  # what a terminal's end is on Linux
            while got := os.read(own, 65536):
                shown += got
        os.close(own)
        return process.wait(60), shown.decode()

    def has(self, name: str) -> bool:
        return (self.folder / "cache" / "sources" / name / f"{name}.zip").exists()


@pytest.fixture
def shell(tmp_path: Path, server: FileServer) -> Shell:
    return Shell(tmp_path, server)


def test_without_a_terminal_nothing_is_accepted(shell: Shell, server: FileServer) -> None:
    done = shell.run("one")
    assert done.returncode == 2
    assert LICENCE in done.stderr
    assert "error: the licence of 'one' has not been accepted yet, and there is no terminal" in done.stderr
    assert "--accept-licence" in done.stderr
    assert server.requests == []


def test_several_are_fetched_and_accepted_once(shell: Shell) -> None:
    done = shell.run("one", "two-alias", "one", "--accept-licence")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line.split(" (")[0] for line in lines] == ["one: fetched one.zip", "two: fetched two.zip"]
    assert "note: two-alias is taken for two: mind the split" in done.stderr
    assert shell.has("one")
    assert shell.has("two")
    again = shell.run("one")
    assert again.returncode == 0
    assert "already here: one.zip" in again.stdout


def test_json_is_all_that_standard_output_holds(shell: Shell) -> None:
    (done,) = json.loads(shell.run("one/x", "--accept-licence", "--json").stdout)
    assert done["dataset"] == "one"
    assert done["files"][0]["sha256"] == hashlib.sha256(CONTENT).hexdigest()
    assert done["files"][0]["new"] is True
    assert Path(done["folder"], "one.zip").is_file()


def test_a_terminal_is_asked_and_shows_bars(shell: Shell) -> None:
    code, shown = shell.at_a_terminal("y\n", "one")
    assert code == 0, shown
    assert LICENCE in shown
    assert "Do you accept it?" in shown
    assert "%" in shown or "MiB" in shown or "MB" in shown
    assert "one: fetched one.zip" in shown
    assert shell.has("one")
    code, shown = shell.at_a_terminal("", "one")
    assert code == 0
    assert "Do you accept it?" not in shown


def test_a_no_is_a_no(shell: Shell, server: FileServer) -> None:
    code, shown = shell.at_a_terminal("n\n", "one", "two")
    assert code == 2
    assert "the licence of 'one' was not accepted; nothing was fetched" in shown
    assert server.requests == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["onee"], "did you mean one?"),
        (["one:split"], "a split or a transform is nothing to fetch"),
        (["one/y", "--accept-licence"], "feature set of one"),
        (["emoji"], "dataset 'emoji' needs no fetch"),
        ([], "NAME"),
    ],
)
def test_what_is_typed_wrong(shell: Shell, server: FileServer, arguments: list[str], said: str) -> None:
    done = shell.run(*arguments)
    assert done.returncode == 2
    assert said.lower() in done.stderr.lower()
    assert "Traceback" not in done.stderr
    assert server.requests == []


def test_a_server_that_is_gone_is_one_sentence(shell: Shell, server: FileServer) -> None:
    server.files.clear()
    done = shell.run("one", "--accept-licence")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: one.zip cannot be fetched from http://127.0.0.1:")
    assert line.endswith("cmrbench data import one --from FOLDER")


def test_a_proxy_that_is_dead_is_one_sentence(shell: Shell, server: FileServer) -> None:
    shell.environment["http_proxy"] = "http://127.0.0.1:9"
    done = shell.run("one", "--accept-licence")
    assert done.returncode == 2
    assert "the proxy cannot be reached: check http_proxy and https_proxy" in done.stderr
    assert server.requests == []


def test_an_interrupt_says_that_nothing_is_lost(shell: Shell, server: FileServer) -> None:
    server.files["one"].gate = threading.Event()
    process = subprocess.Popen(
        shell.command("one", "--accept-licence"),
        stderr=subprocess.PIPE,
        text=True,
        env=shell.environment,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a job in the background ignores it
    )
    assert server.files["one"].first_bytes.wait(30)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=30)[1]
    server.files["one"].gate.set()
    assert process.returncode == 130
    assert said.strip() == "interrupted: what has come is kept; the same command goes on from there"


def test_the_help_imports_no_network() -> None:
    code = "import sys, cmrbench.cli; print(*[m for m in ('requests', 'filelock', 'urllib3') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
