"""Progress of runs: a bar per run and one for all on a terminal, a line per finished run elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from cmrbench.run.api import Plan
    from cmrbench.run.local import Event


class Listener:
    """Receives the executor's events; called once per event."""

    def __init__(self, plan: Plan, console: Console, progress: Progress | None) -> None:
        self.console = console
        self.progress = progress
        self.total = len(plan.todo)
        self.finished = 0
        self.unstored: list[str] = []
        self.tasks: dict[str, TaskID] = {}
        self.overall = progress.add_task("all runs", total=self.total, note="") if progress else None

    def __call__(self, event: Event) -> None:
        """Show one event."""
        key = event.planned.run_key
        if event.kind == "finished":
            self._finish(event)
        elif event.kind == "waiting":
            self._say(f"[dim]{escape(event.planned.spec.title)}: another process is running it[/dim]")
        elif self.progress is not None:
            if event.kind == "started":
                self._drop_bar(key)  # a run that did not get its chance starts twice
                self.tasks[key] = self.progress.add_task(escape(event.planned.spec.title), total=None, note="")
            elif key in self.tasks:
                total = event.total or None
                self.progress.update(self.tasks[key], completed=event.done, total=total, note=escape(event.note))

    def interrupted(self) -> None:
        """Say what an interrupt left behind."""
        self._say(f"interrupted: {self.finished} of {self.total} runs are in the store; run the same command to go on")

    def _finish(self, event: Event) -> None:
        self.finished += 1
        self._drop_bar(event.planned.run_key)
        if self.progress is not None and self.overall is not None:
            self.progress.update(self.overall, completed=self.finished)
        if event.error:
            self.unstored.append(event.error)
        result = event.result
        if result is None:
            return
        title = escape(event.planned.spec.title)
        seconds = result.seconds.get("total", 0.0)
        if result.status == "done":
            line = f"[green]done[/green]      {title} [dim]({seconds:.1f} s)[/dim]"
        else:
            colour = "yellow" if result.status == "declined" else "red"
            line = f"[{colour}]{result.status:<9}[/{colour}] {title}: {escape(result.cause)}"
        self._say(line)

    def _drop_bar(self, key: str) -> None:
        task = self.tasks.pop(key, None)
        if self.progress is not None and task is not None:
            self.progress.remove_task(task)

    def _say(self, line: str) -> None:
        console = self.progress.console if self.progress is not None else self.console
        console.print(line, highlight=False, soft_wrap=True)


@contextmanager
def watch(plan: Plan) -> Iterator[Listener]:
    """A listener on standard error, with live bars where that is a terminal."""
    console = Console(stderr=True)
    if not plan.todo or not console.is_terminal:
        yield Listener(plan, console, None)
        return
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TextColumn("[dim]{task.fields[note]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        yield Listener(plan, console, progress)
