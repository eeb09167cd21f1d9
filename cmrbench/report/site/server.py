"""A server of one folder's files for the browsers of this machine."""

from __future__ import annotations

import os
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

HOST = "127.0.0.1"
_NAMES = (HOST, "localhost")


class Server(ThreadingHTTPServer):
    """Serves the files of `folder` on the loopback address.

    Requests whose Host header names another machine are refused: a page elsewhere must not read these by having its
    own name point here.
    """

    daemon_threads = True
    allow_reuse_address = os.name == "posix"

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder.resolve()
        super().__init__((HOST, port), _Handler)

    def hosts(self) -> frozenset[str]:
        """What the Host header of a request may be."""
        port = self.server_address[1]
        bare = _NAMES if port == 80 else ()
        return frozenset([*(f"{name}:{port}" for name in _NAMES), *bare])


class _Handler(SimpleHTTPRequestHandler):
    server: Server
    server_version = "cmrbench"
    sys_version = ""
    protocol_version = "HTTP/1.1"

    def __init__(self, request: Any, address: Any, server: Server) -> None:
        super().__init__(request, address, server, directory=str(server.folder))

    def send_head(self) -> Any:
        """Refuse other hosts, and files that are not inside the folder."""
        if (self.headers.get("Host") or "").lower() not in self.server.hosts():
            self.send_error(HTTPStatus.MISDIRECTED_REQUEST, "Only for this machine")
            return None
        path = Path(self.translate_path(self.path))
        if path.is_dir():
            path /= "index.html"
        if any(part.startswith(".") for part in path.relative_to(self.server.folder).parts) or not _inside(
            path, self.server.folder
        ):
            self.send_error(HTTPStatus.NOT_FOUND)
            return None
        return super().send_head()

    def list_directory(self, path: Any) -> None:
        """No folder is listed."""
        self.send_error(HTTPStatus.NOT_FOUND)

    def end_headers(self) -> None:
        """What every answer says: nobody guesses types, frames a page or keeps an old one."""
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("X-Frame-Options", "DENY")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Cache-Control", "no-cache")
        super().end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are not printed."""


def _inside(path: Path, folder: Path) -> bool:
    """Whether a file lies in the folder after all links are followed."""
    try:
        return path.resolve(strict=True).is_relative_to(folder)
    except (OSError, RuntimeError, ValueError):
        return False


def make_server(folder: Path, port: int) -> Server:
    """A server that is bound and not yet running.

    Parameters
    ----------
    folder : Path
    port : int
        0 for any free one; the one taken is ``server_address[1]``.

    Raises
    ------
    OSError
        If the port is taken or needs rights.
    """
    return Server(folder, port)
