"""The server of a site: files of one folder, for this machine only."""

import http.client
import os
import signal
import subprocess
import sys
import threading

import pytest
from typer.testing import CliRunner

from cmrbench.cli import app
from cmrbench.core.errors import UsageError
from cmrbench.report.site.server import make_server


@pytest.fixture
def served(tmp_path):
    folder = tmp_path / "site"
    (folder / "runs").mkdir(parents=True)
    (folder / "index.html").write_text("<p>index")
    (folder / "runs" / "a.html").write_text("<p>a")
    (folder / ".cmrbench-site").write_text("marker")
    (tmp_path / "secret.txt").write_text("secret")
    (folder / "out.html").symlink_to(tmp_path / "secret.txt")
    server = make_server(folder, 0)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join(10)


def get(server, path, host=None, method="GET"):
    port = server.server_address[1]
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.putrequest(method, path, skip_host=True)
    connection.putheader("Host", host if host is not None else f"127.0.0.1:{port}")
    connection.endheaders()
    answer = connection.getresponse()
    body = answer.read().decode()
    connection.close()
    return answer, body


def test_it_listens_on_loopback_only(served):
    assert served.server_address[0] == "127.0.0.1"


@pytest.mark.parametrize(("path", "body"), [("/", "<p>index"), ("/index.html", "<p>index"), ("/runs/a.html", "<p>a")])
def test_pages_are_served(served, path, body):
    answer, found = get(served, path)
    assert (answer.status, found) == (200, body)
    assert answer.getheader("X-Content-Type-Options") == "nosniff"


@pytest.mark.parametrize(
    "path",
    ["/runs/", "/../secret.txt", "/%2e%2e/secret.txt", "/out.html", "/.cmrbench-site", "/runs/../../secret.txt",
     "/missing.html", "/%00"],
)  # fmt: skip
def test_nothing_else_is_served(served, path):
    answer, body = get(served, path)
    assert answer.status == 404
    assert "secret" not in body
    assert "a.html" not in body


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8000", "", "127.0.0.1.evil.example", "localhost"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_other_hosts_are_refused(served, host, method):
    answer, body = get(served, "/", host, method)
    assert answer.status == 421
    assert "<p>index" not in body


def test_localhost_with_the_port_is_this_machine(served):
    assert get(served, "/", f"localhost:{served.server_address[1]}")[0].status == 200


def test_posting_is_not_answered(served):
    assert get(served, "/", method="POST")[0].status == 501


def test_the_command_says_its_address_and_ends_cleanly(tmp_path):
    (tmp_path / "index.html").write_text("<p>index")
    command = [sys.executable, "-m", "cmrbench", "serve", str(tmp_path), "--port", "0"]
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment, preexec_fn=_interruptible
    ) as process:
        line = process.stdout.readline()
        port = int(line.split("http://127.0.0.1:")[1].split("/")[0])
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        connection.request("GET", "/")
        assert connection.getresponse().read() == b"<p>index"
        connection.close()
        process.send_signal(signal.SIGINT)
        rest = process.communicate(timeout=30)[0]
    assert process.returncode == 0
    assert rest == "ended\n"


def _interruptible():
    """A shell's background jobs ignore Ctrl-C, and so would their children."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def test_a_port_that_is_taken_is_one_sentence(served, tmp_path):
    (tmp_path / "index.html").write_text("")
    done = CliRunner().invoke(app, ["serve", str(tmp_path), "--port", str(served.server_address[1])])
    assert isinstance(done.exception, UsageError)
    assert "cannot be used" in str(done.exception)
    assert "--port 0" in str(done.exception)
