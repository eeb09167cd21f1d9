"""Commands called within the process of a test."""

from __future__ import annotations

from typer import Typer
from typer.testing import CliRunner, Result


def invoked(app: Typer, *arguments: object, code: int = 0, answer: str | None = None) -> Result:
    """What a command says; its own errors are raised, and another exit code fails the test."""
    result = CliRunner().invoke(app, [str(a) for a in arguments], input=answer)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result
