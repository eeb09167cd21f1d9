"""A web server on the loopback that behaves as badly as a test asks it to."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Served:
    """One file, and how it is served."""

    content: bytes
    etag: str = ""
    modified: str = ""
    ranges: bool = True
    checks_if_range: bool = True
    says_length: bool = True
    kind: str = "application/octet-stream"
    headers: dict[str, str] = field(default_factory=dict)
    statuses: list[int] = field(default_factory=list)  # answers to the first requests
    cuts: list[int] = field(default_factory=list)  # bytes after which the next answers are cut
    redirect: str = ""
    gate: threading.Event | None = None  # waited for after the first bytes
    first_bytes: threading.Event = field(default_factory=threading.Event)


class FileServer:
    """Serves `files`; counts what was asked for and what was sent."""

    def __init__(self) -> None:
        self.files: dict[str, Served] = {}
        self.requests: list[tuple[str, str | None]] = []
        self.conditions: list[str | None] = []
        self.sent: dict[str, int] = {}
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                owner.answer(self)

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/{path}"

    def add(self, path: str, content: bytes, **how: object) -> str:
        self.files[path] = Served(content, **how)  # type: ignore[arg-type]
        return self.url(path)

    def ranges_of(self, path: str) -> list[str | None]:
        return [r for p, r in self.requests if p == path]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        path = handler.path.lstrip("/")
        self.requests.append((path, handler.headers.get("Range")))
        self.conditions.append(handler.headers.get("If-Range"))
        served = self.files.get(path)
        if served is None:
            handler.send_error(404)
            return
        if served.statuses:
            handler.send_response(served.statuses.pop(0))
            for name, value in served.headers.items():
                handler.send_header(name, value)
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        if served.redirect:
            handler.send_response(302)
            handler.send_header("Location", served.redirect)
            handler.end_headers()
            return
        start = self._start(handler, served)
        body = served.content[start:]
        if start and not body:
            handler.send_response(416)
            handler.send_header("Content-Range", f"bytes */{len(served.content)}")
            handler.end_headers()
            return
        handler.send_response(206 if start else 200)
        if start:
            whole = len(served.content)
            handler.send_header("Content-Range", f"bytes {start}-{whole - 1}/{whole}")
        if served.says_length:
            handler.send_header("Content-Length", str(len(body)))
        sent = {"Content-Type": served.kind, "ETag": served.etag, "Last-Modified": served.modified, **served.headers}
        for name, value in sent.items():
            if value:
                handler.send_header(name, value)
        handler.end_headers()
        self._send(handler, path, served, body)

    def _start(self, handler: BaseHTTPRequestHandler, served: Served) -> int:
        asked = handler.headers.get("Range")
        condition = handler.headers.get("If-Range")
        if not asked or not served.ranges:
            return 0
        if served.checks_if_range and condition and condition not in (served.etag, served.modified):
            return 0
        return int(asked.removeprefix("bytes=").removesuffix("-"))

    def _send(self, handler: BaseHTTPRequestHandler, path: str, served: Served, body: bytes) -> None:
        cut = served.cuts.pop(0) if served.cuts else None
        sending = body if cut is None else body[:cut]
        half = len(sending) // 2
        with contextlib.suppress(OSError):
            self._count(handler, path, sending[:half])
            served.first_bytes.set()
            if served.gate is not None:
                served.gate.wait(20)
            self._count(handler, path, sending[half:])
            if cut is not None:
                handler.wfile.flush()
                handler.connection.shutdown(socket.SHUT_RDWR)

    def _count(self, handler: BaseHTTPRequestHandler, path: str, sending: bytes) -> None:
        handler.wfile.write(sending)
        self.sent[path] = self.sent.get(path, 0) + len(sending)


@contextlib.contextmanager
def serving() -> Iterator[FileServer]:
    server = FileServer()
    try:
        yield server
    finally:
        server.close()
