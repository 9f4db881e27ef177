"""Doubt: whether it is holes that a device gives no answer to. Some refuse unknown registers with silence.

trusted ──2 silent reads──▶ without holes ──answered──▶ with them again ──silent──▶ holes are to blame
   ▲                            └── 2 silent reads: it is the unit ──┐   └── answered ──┐
   └─────────────────────────────────────────────────────────────────┴──────────────────┘
"""

SILENT_READS = 2


class Doubt:
    """Of one group whose requests read holes along. `bare` says that the next read is to do without them."""

    def __init__(self) -> None:
        self.bare = False
        self._silent = 0
        self._lives = False

    def judge(self, silent: bool) -> bool:
        """What became of a read, which was done as `bare` said; whether holes are to blame for silence."""
        if not silent:
            self._lives, self.bare, self._silent = self.bare, False, 0
            return False
        if self._lives:
            self._lives = False
            return True
        self._silent += 1
        if self._silent >= SILENT_READS:
            self.bare, self._silent = not self.bare, 0
        return False
