"""The command line: parse, call, print. No logic, and nothing heavy imported before a command needs it."""

from __future__ import annotations

import contextlib
import errno
import sys
from typing import Any

import typer

from cmrbench.cli.check import check_command
from cmrbench.cli.cite import cite_command
from cmrbench.cli.compare import compare_command
from cmrbench.cli.console import one_line, prepare_streams
from cmrbench.cli.data import app as data_app
from cmrbench.cli.eval import evaluate_command
from cmrbench.cli.extract import extract_command
from cmrbench.cli.gate import gate_command
from cmrbench.cli.list import app as list_app
from cmrbench.cli.list import status_command
from cmrbench.cli.new import new_command
from cmrbench.cli.published import published_command
from cmrbench.cli.report import report_command
from cmrbench.cli.run import run_command
from cmrbench.cli.serve import serve_command
from cmrbench.core.errors import CmrbenchError

_UNUSABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG, errno.ELOOP, errno.EIO)
"""What a file system refuses of a path that a user names or that lies in a folder which is shared."""

app = typer.Typer(
    name="cmrbench",
    help="Benchmark and leaderboards for cross-modal retrieval.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help: rich would double the start-up time
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("run", short_help="Run methods on datasets.")(run_command)
app.command("report", short_help="Print the leaderboards of a results folder.")(report_command)
app.command("compare", short_help="Say whether methods differ, and by how much.")(compare_command)
app.command("published", short_help="Print the numbers that papers print, and their faults.")(published_command)
app.command("serve", short_help="Show a site of results to this machine's browsers.")(serve_command)
app.command("gate", short_help="Compare the results with a baseline; fail on a drop.")(gate_command)
app.command("eval", short_help="Evaluate your own embeddings or codes.")(evaluate_command)
app.add_typer(list_app, name="list")
app.add_typer(data_app, name="data")
app.command("extract", short_help="Make features of a dataset's own texts and pictures.")(extract_command)
app.command("cite", short_help="Print BibTeX of what was used.")(cite_command)
app.command("check", short_help="Run the conformance checks on a method.")(check_command)
app.command("new", short_help="Write a working plugin and its test.")(new_command)
app.command("status", short_help="Count the runs by how they ended.")(status_command)


def _version(value: bool) -> None:
    if value:
        from cmrbench import __version__

        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    """Benchmark and leaderboards for cross-modal retrieval."""


def main() -> None:
    """Entry point: runs the app; an error that a user can mend is one sentence and an exit code."""
    import warnings

    warnings.showwarning = _show_warning  # type: ignore[assignment]
    prepare_streams()
    try:
        app()
    except CmrbenchError as error:
        print(f"error: {one_line(str(error))}", file=sys.stderr)
        sys.exit(error.exit_code)
    except OSError as error:
        if error.filename is not None and error.errno in _UNUSABLE:
            where = one_line(str(error.filename))
            print(f"error: {where} cannot be used: {error.strerror}; change that, or name another", file=sys.stderr)
            sys.exit(2)
        if error.errno != errno.ENOSPC:
            raise
        print(f"error: the output cannot be written: {error}", file=sys.stderr)
        with contextlib.suppress(OSError):
            sys.stdout.close()  # what it still holds would fail once more at exit
        sys.exit(1)


_warned: set[str] = set()


def _show_warning(message: Warning | str, category: type[Warning], *where: Any) -> None:
    line = one_line(str(message))
    # A damaged file is met by whoever reads the folder, several times in one command.
    if category.__module__.startswith("cmrbench") and line not in _warned:
        _warned.add(line)
        print(f"warning: {line}", file=sys.stderr)
