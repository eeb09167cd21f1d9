"""`cmrbench serve`: a site over HTTP, for this machine only."""

from __future__ import annotations

import contextlib
from pathlib import Path

import typer

from cmrbench.core.errors import UsageError


def serve_command(
    folder: Path = typer.Argument(Path("site"), metavar="[DIR]", help="The folder that `cmrbench report --html` made."),
    port: int = typer.Option(8000, min=0, max=65535, help="The port on 127.0.0.1; 0 for any that is free."),
) -> None:
    """Serve a site to the browsers of this machine, until Ctrl-C.

    Static files on 127.0.0.1 only: no other machine reaches them.
    """
    if not (folder / "index.html").is_file():
        raise UsageError(f"{folder} holds no index.html: make a site with `cmrbench report --html {folder}`")
    from cmrbench.report.site.server import make_server

    try:
        server = make_server(folder, port)
    except OSError as error:
        raise UsageError(
            f"port {port} cannot be used: {error.strerror or error}; name another with --port, or --port 0"
        ) from error
    typer.echo(f"http://127.0.0.1:{server.server_address[1]}/ serves {folder}; Ctrl-C ends it")
    with server, contextlib.suppress(KeyboardInterrupt):
        server.serve_forever()
    typer.echo("ended")
