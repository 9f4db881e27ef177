"""What is broken on purpose, and by which command that must be found. A new promise gets a line here."""

from dataclasses import dataclass

# Each takes a minute at most; `python -m` stands before it.
KILL = ("tests.campaigns.kill", "14", "--seed", "1")
POWER = ("tests.adversity.power", "300", "--seed", "1")


def tests(*selection: str) -> tuple[str, ...]:
    """The command that runs these tests; the first one that fails ends it."""
    return ("pytest", "-q", "-x", "-p", "no:cacheprovider", *selection)


@dataclass(frozen=True, slots=True)
class Mutation:
    """One broken promise: the change of text in `file` that breaks it, the command that must fail, and why.

    `command` is what follows `python -m`. One of `found_by` must be among its lines that say FAIL. A changed .pyx is
    compiled, and beside a changed pure twin there is no compiled one.
    """

    name: str
    file: str
    old: str
    new: str
    command: tuple[str, ...]
    found_by: tuple[str, ...]


MUTATIONS = (
    Mutation(
        "the next start says nothing of what a crash cost",
        "agent/tidegate/buffer/recovery.py",
        "        if not clean or (found.boot and not last_boot):",
        "        if False:",
        KILL,
        ("unexplained",),
    ),
    Mutation(
        "gaps are written down but not announced",
        "agent/tidegate/buffer/writer.py",
        "        rows = state.ledger.waiting()\n",
        "        state.ledger.announced([(gap.id, state.epoch, 1) for gap in state.ledger.waiting()])\n"
        "        rows: list[Gap] = []\n",
        KILL,
        ("unexplained",),
    ),
    Mutation(
        "frames are numbered and sent, but not written",
        "agent/tidegate/buffer/writer.py",
        "            state.active.append(attempt.blocks, attempt.tables)\n",
        "            pass\n",
        KILL,
        ("other content", "damaged", "did not arrive", "ended with", "not within"),
    ),
    Mutation(
        "what was acknowledged is written down once and never again",
        "agent/tidegate/buffer/control.py",
        "    def store_marks(self, marks: Iterable[Mark]) -> None:\n",
        "    def store_marks(self, marks: Iterable[Mark]) -> None:\n"
        "        if self.db.execute('SELECT count(*) FROM cursors').fetchone()[0]:\n            return\n",
        KILL,
        ("after one kill",),
    ),
    Mutation(
        "every fortieth frame is left out of a message that claims it",
        "agent/tidegate/publish/formats/tidegate_json.py",
        "for piece in pieces if piece.data and not piece.gap]",
        "for piece in pieces if piece.data and not piece.gap and piece.number % 40]",
        KILL,
        ("claims more",),
    ),
    Mutation(
        "commits are not synced to the disk (synchronous=NORMAL)",
        "agent/tidegate/buffer/segment.py",
        '            "synchronous=FULL",\n',
        '            "synchronous=NORMAL",\n',
        POWER,
        ("was committed and is gone",),
    ),
    Mutation(
        "a commit is confirmed before it is written: it goes with the next one",
        "agent/tidegate/buffer/writer.py",
        "        self._append(attempt)\n",
        '        late = self.__dict__.get("late")\n        self.__dict__["late"] = attempt\n'
        "        if late is not None:\n            self._append(late)\n",
        tests("tests/buffer/test_kill.py"),
        ("test_what_was_confirmed_survives_every_kill",),
    ),
    Mutation(
        "a commit that the disk refused counts as done",
        "agent/tidegate/buffer/writer.py",
        "        self._append(attempt)\n",
        "        with suppress(sqlite3.Error):\n            self._append(attempt)\n",
        tests("tests/adversity/test_faults.py", "tests/buffer/test_kill.py"),
        ("test_the_nth_fault_costs_nothing", "test_a_disk_that_refuses"),
    ),
    Mutation(
        "a block's checksum is not looked at",
        "agent/tidegate/buffer/block.py",
        "    if zlib.crc32(block.data) != block.crc32:\n",
        "    if False:\n",
        tests("tests/buffer/test_checksum.py"),
        ("test_no_flipped_bit_gives_a_wrong_value",),
    ),
    Mutation(
        "a removed segment's file goes before its removal is written down",
        "agent/tidegate/buffer/retention.py",
        "    gap, unseen = _unseen(state, entry)\n",
        "    gap, unseen = _unseen(state, entry)\n    unlink(catalog.path(entry))\n",
        POWER,
        ("was committed and is gone",),
    ),
    Mutation(
        "after a start the last number is given again",
        "agent/tidegate/buffer/recovery.py",
        "last=found.reached[numbering.epoch]))\n",
        "last=max(0, found.reached[numbering.epoch] - 1)))\n",
        tests("tests/buffer/test_kill.py"),
        ("test_what_was_confirmed_survives_every_kill",),
    ),
)
