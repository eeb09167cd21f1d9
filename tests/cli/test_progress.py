"""What the listener shows on a terminal."""

from io import StringIO
from types import SimpleNamespace

from rich.console import Console
from rich.progress import Progress

from cmrbench.cli.progress import Listener
from cmrbench.run.local import Event


def test_a_run_that_starts_twice_has_one_bar():
    console = Console(file=StringIO())
    progress = Progress(console=console)
    listener = Listener(SimpleNamespace(todo=[1]), console, progress)
    planned = SimpleNamespace(run_key="a", spec=SimpleNamespace(title="lcm 16 bits"))
    for _ in range(2):
        listener(Event("started", planned))
    assert [task.description for task in progress.tasks] == ["all runs", "lcm 16 bits"]
    listener(Event("finished", planned))
    assert [task.description for task in progress.tasks] == ["all runs"]
