"""Output that can always be written: other encodings, closed streams, full disks, narrow terminals."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from cmrbench.cli.console import one_line

COMMAND = (sys.executable, "-m", "cmrbench")


def cmrbench(*arguments, redirect="", **environment):
    """A command in a process of its own, with a shell's redirection and other environment variables."""
    line = f'exec "$@" {redirect}'
    return subprocess.run(
        ["sh", "-c", line, "sh", *COMMAND, *arguments], capture_output=True, env={**os.environ, **environment}
    )


@pytest.mark.parametrize(
    "environment",
    [{"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, {"PYTHONIOENCODING": "latin-1"}],
    ids=["C locale", "latin-1"],
)
def test_files_and_pipes_get_utf8_whatever_the_locale_is(environment):
    table = cmrbench("list", "suites", **environment)
    assert table.returncode == 0, table.stderr.decode()
    assert "┏" in table.stdout.decode("utf-8")
    listed = cmrbench("data", "list", "--json", **environment)
    assert len(json.loads(listed.stdout.decode("utf-8"))) > 5


@pytest.mark.parametrize("command", [("list", "suites"), ("check", "--list")])
def test_closed_output_is_no_crash(command):
    closed = cmrbench(*command, redirect=">&-")
    assert (closed.returncode, closed.stderr) == (0, b"")


def test_closed_errors_do_not_go_among_the_data():
    failed = cmrbench("list", "suits", redirect="2>&-")
    assert failed.returncode == 2
    assert failed.stdout == b""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("command", [("list", "suites"), ("list", "suites", "--json")])
def test_a_full_disk_is_one_sentence(command):
    full = cmrbench(*command, redirect="> /dev/full")
    assert full.returncode == 1
    assert full.stderr.decode().startswith("error: the output cannot be written")
    assert full.stderr.count(b"\n") == 1


def test_a_narrow_terminal_hides_nothing():
    ours, theirs = pty.openpty()
    environment = {**os.environ, "COLUMNS": "40", "TERM": "dumb", "NO_COLOR": "1"}
    process = subprocess.Popen([*COMMAND, "data", "list"], stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    shown = b""
    try:
        while part := os.read(ours, 65536):
            shown += part
    except OSError:  # the other end is closed
        pass
    finally:
        os.close(ours)
    assert process.wait() == 0
    for word in ("openclipart_tags", "939/161/155/312", "fetch, rest by hand", "embedded", "generated"):
        assert word in shown.decode(), word


def test_a_line_of_hostile_text_stays_one_line_in_its_direction():
    assert one_line("a\x1b[31mb\nc\u202egnp.exe\u2066d\u2028é 中") == r"a\x1b[31mb\nc\u202egnp.exe\u2066d\u2028é 中"
