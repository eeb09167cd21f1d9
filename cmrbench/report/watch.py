"""Leaderboards that follow a running benchmark: the results folder is read again whenever a run was added."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from cmrbench.core.errors import CmrbenchError
from cmrbench.report.model import Leaderboard
from cmrbench.report.terminal import print_boards, renderables

if TYPE_CHECKING:
    import pyarrow as pa
    from rich.console import Console, RenderableType

    from cmrbench.store.store import Store

EVERY = 2.0
"""Seconds from one look at the folder to the next."""

Maker = Callable[["pa.Table"], list[Leaderboard]]


class Follower:
    """What is on the screen while a benchmark runs, and when it has to be made anew.

    Parameters
    ----------
    store : Store
        Of the results folder; it need not exist yet.
    columns : sequence of str
        The columns of `cmrbench.store.schema` that `make` needs.
    make : callable
        Leaderboards of a results table.
    """

    def __init__(self, store: Store, columns: Sequence[str], make: Maker) -> None:
        self.store = store
        self.columns = tuple(dict.fromkeys((*columns, "run_key", "status")))
        self.make = make
        self.boards: list[Leaderboard] = []
        self.problem = ""
        self._seen: tuple[object, ...] | None = None
        self._statuses: Counter[str] = Counter()
        self._changed: dict[str, int] = {}
        self._looks = 0

    def look(self) -> bool:
        """Read the folder if it holds something new; whether it did."""
        self._looks += 1
        found = tuple(stamp for path in self.store.files() if (stamp := self.store.stamp(path.stem)))
        if found == self._seen:
            return False
        self._seen = found
        table = self.store.table(list(self.columns))
        runs = dict(zip(table.column("run_key").to_pylist(), table.column("status").to_pylist(), strict=True))
        self._statuses = Counter(runs.values())
        before = {board.title: board for board in self.boards}
        boards = self._made(table) if table.num_rows else []
        for board in boards:
            if before.get(board.title) != board:
                self._changed[board.title] = self._looks
        # What has just changed is seen also where the screen is too small for all.
        self.boards = sorted(boards, key=lambda board: -self._changed[board.title])
        return True

    def _made(self, table: pa.Table) -> list[Leaderboard]:
        """The leaderboards; a dataset or metric that has no result yet is waited for."""
        self.problem = ""
        try:
            return self.make(table)
        except CmrbenchError as error:
            self.problem = str(error)
            return []

    @property
    def status(self) -> str:
        """``"12 runs done, 1 failed, 2 going on"``."""
        told = [f"{self._statuses['done']} run{'s' if self._statuses['done'] != 1 else ''} done"]
        told += [f"{n} {status}" for status, n in sorted(self._statuses.items()) if status != "done"]
        going_on = len(list(self.store.locks.glob("*.lock")))
        return ", ".join([*told, f"{going_on} going on"] if going_on else told)

    def screen(self, width: int) -> RenderableType:
        """The status, then the leaderboards, those that changed last on top."""
        from rich.console import Group
        from rich.text import Text

        now = time.strftime("%H:%M:%S")
        head = Text(f"{self.store.folder}: {self.status} · {now} · Ctrl-C ends", style="reverse", no_wrap=True)
        told = [Text(f"Not yet: {self.problem}")] if self.problem else []
        return Group(head, Text(), *told, *renderables(self.boards, width, styled=True))


def follow(console: Console, follower: Follower, every: float = EVERY, looks: int | None = None) -> None:
    """Show the leaderboards until the user presses Ctrl-C, then print them as they are.

    Parameters
    ----------
    console : rich.console.Console
        On a terminal.
    follower : Follower
    every : float
        Seconds between looks.
    looks : int, optional
        Stop after so many.
    """
    from rich.live import Live

    try:
        with Live(console=console, screen=True, auto_refresh=False, vertical_overflow="ellipsis") as live:
            while looks is None or looks > 0:
                follower.look()
                live.update(follower.screen(console.width), refresh=True)
                looks = None if looks is None else looks - 1
                if looks != 0:
                    time.sleep(every)
    except KeyboardInterrupt:
        pass
    print_boards(console, follower.boards)
    console.print(f"{follower.store.folder}: {follower.status}.", markup=False, highlight=False)
