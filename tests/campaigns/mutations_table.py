"""What is broken on purpose, and by which command that must be found. A new promise gets a line here."""

from dataclasses import dataclass

# Each takes a minute at most; `python -m` stands before it.
KILL = ("tests.campaigns.kill", "14", "--seed", "1")
POWER = ("tests.adversity.power", "300", "--seed", "1")
SOAK = ("tests.campaigns.soak", "60", "--seed", "1")
MODBUS = ("tests.campaigns.modbus", "5000", "--sockets", "0", "--seed", "1")
CLOCK = ("tests.campaigns.clock", "--only", "late and stepped")


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
        "        if not clean or (found.boot",
        "        if False and (found.boot",
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
        "a disk that can't be read for a second counts as damage",
        "agent/tidegate/buffer/image.py",
        "    while not _can_be_read(path):\n",
        "    while False:\n",
        tests("tests/buffer/test_image.py"),
        ("test_bytes_that_do_not_come",),
    ),
    Mutation(
        "commits behind a flipped bit of the journal are forgotten",
        "agent/tidegate/buffer/survey.py",
        "    broken = broken_journal(path)\n",
        '    broken = ""\n',
        tests("tests/buffer/test_image.py"),
        ("test_a_flip_in_the_journal",),
    ),
    Mutation(
        "the scrub does not follow the chain of hashes",
        "agent/tidegate/buffer/scrub.py",
        "and before[1] != block.prev:",
        "and False:",
        tests("tests/buffer/test_scrub.py"),
        ("test_a_flip_in_the_chain_of_hashes_is_found",),
    ),
    Mutation(
        "every put waits for room that a broken disk never gives",
        "agent/tidegate/buffer/intake.py",
        "        if self._in_vain:\n",
        "        if False:\n",
        tests("tests/buffer/test_intake.py"),
        ("test_only_the_first_waits",),
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
    Mutation(
        "a cursor moves when a message is handed over, not when it is acknowledged",
        "agent/tidegate/publish/delivery.py",
        "        self._counts.messages += 1\n",
        "        self._counts.messages += 1\n"
        "        self._buffer.acknowledge(self._settings.name, batch.epoch, (batch.first, batch.last), 1)\n",
        ("tests.campaigns.broker", "--only", "dropped", "--seed", "1"),
        ("had to be asked for",),
    ),
    Mutation(
        "a refusal counts as delivered",
        "agent/tidegate/publish/outcomes.py",
        "        if code >= FAILURE:\n",
        "        if code >= FAILURE and sent.lane is None:\n",
        tests("tests/publish/test_refusals.py"),
        ("moves_no_cursor",),
    ),
    Mutation(
        "what may not be published (0x87) is taken for poison, frame by frame",
        "agent/tidegate/publish/outcomes.py",
        "        elif FAULTS.get(code) in (Fault.POISON, Fault.QUOTA):\n",
        "        elif code == 0x87:\n            for number in range(sent.first, sent.last + 1):\n"
        "                self._burying.add(asyncio.create_task(self._bury(sent.epoch, number)))\n"
        "        elif FAULTS.get(code) in (Fault.POISON, Fault.QUOTA):\n",
        ("tests.campaigns.broker", "--only", "0x87", "--seed", "1"),
        ("the target is parked", "no dead letter"),
    ),
    Mutation(
        "nobody pings the broker, or minds that it does not answer",
        "agent/tidegate/publish/session.py",
        "            self._client.loop_misc()\n",
        "            pass\n",
        tests("tests/publish/test_dead_link.py"),
        ("test_an_idle_link_that_died",),
    ),
    Mutation(
        "acknowledgements may take for ever",
        "agent/tidegate/publish/delivery.py",
        "now_s - handed_s > self._settings.puback_deadline_s:\n",
        "now_s - handed_s > 1e9:\n",
        tests("tests/publish/test_bad_brokers.py"),
        ("test_a_broker_that_stops_acknowledging",),
    ),
    Mutation(
        "a head that is further on than this buffer is not minded (an image put back)",
        "agent/tidegate/publish/delivery.py",
        "            self._elsewhere = max(self._elsewhere, last_of_head(payload, self._context.unasked[0]))\n",
        "            pass\n",
        ("tests.campaigns.copies", "--only", "image put back"),
        ("frames taken for duplicates",),
    ),
    Mutation(
        "another box goes on with the numbering of its image",
        "agent/tidegate/buffer/recovery.py",
        "    if known_box and known_box != identity:\n",
        "    if False:\n",
        ("tests.campaigns.copies", "--only", "two boxes"),
        ("both speak", "frames taken for duplicates"),
    ),
    Mutation(
        "timers follow the wall clock",
        "agent/tidegate/clock.py",
        "        return self._monotonic()\n",
        "        return self._wall()\n",
        CLOCK,
        ("off their interval",),
    ),
    Mutation(
        "frames that were taken before the time was known are sent as they are",
        "agent/tidegate/publish/feed.py",
        "                frame = restamp(waiting.frame, self._time_known)\n",
        "                frame = waiting.frame\n",
        CLOCK,
        ("were sent unset after the time was known",),
    ),
    Mutation(
        "the watchdog is fed by a timer, whoever stands still",
        "agent/tidegate/watchdog.py",
        "            if not still:\n                self._notifier.feed()\n",
        "            self._notifier.feed()\n",
        tests("tests/test_watchdog.py"),
        ("not_once_more_after_a_hang",),
    ),
    Mutation(
        "a secret prints what it holds",
        "agent/tidegate/secret.py",
        '        return "***"\n',
        "        return self._text\n",
        tests("tests/test_secret.py"),
        ("test_a_secret_can_not_be_printed",),
    ),
    Mutation(
        "the log says with which password we connect",
        "agent/tidegate/publish/connector.py",
        "    if settings.user or settings.password is not None:\n",
        "    if settings.user or settings.password is not None:\n"
        '        __import__("logging").debug("as %s", settings.password and settings.password.reveal())\n',
        tests("tests/test_canary.py"),
        ("test_a_password_in_use_shows_nowhere",),
    ),
    Mutation(
        "a late Modbus reply is taken for the one that is due",
        "drivers/tidegate_drivers/modbus/link.py",
        "            complete = end - at >= BEFORE_LENGTH_BYTES + length\n",
        "            complete = end - at >= BEFORE_LENGTH_BYTES + length\n"
        "            transaction = next(iter(self._due), transaction)\n",
        tests("tests/drivers/test_modbus_link.py"),
        ("the transaction before", "test_a_late_reply"),
    ),
    Mutation(
        "a Modbus reply of any transaction is taken for the one that is due",
        "drivers/tidegate_drivers/modbus/link.py",
        "            complete = end - at >= BEFORE_LENGTH_BYTES + length\n",
        "            complete = end - at >= BEFORE_LENGTH_BYTES + length\n"
        "            transaction = next(iter(self._due), transaction)\n",
        MODBUS,
        ("wrong values accepted",),
    ),
    Mutation(
        "a Modbus reply of any unit is taken",
        "drivers/tidegate_drivers/modbus/link.py",
        "        if unit != self._unit:\n",
        "        if False:\n",
        MODBUS,
        ("wrong values accepted",),
    ),
    Mutation(
        "a Modbus reply of any protocol is taken",
        "drivers/tidegate_drivers/modbus/link.py",
        "            if protocol or not",
        "            if not",
        MODBUS,
        ("wrong values accepted",),
    ),
    Mutation(
        "a Modbus reply of any function is taken",
        "drivers/tidegate_drivers/modbus/link.py",
        "        if function == asked:\n",
        "        if function < EXCEPTION_FLAG:\n",
        MODBUS,
        ("what their kind may not become",),
    ),
    Mutation(
        "the byte count of a Modbus reply is not looked at",
        "drivers/tidegate_drivers/modbus/link.py",
        "            elif data[0] != question.reply_bytes:\n",
        "            elif False:\n",
        MODBUS,
        ("wrong values accepted",),
    ),
    Mutation(
        "a Modbus exception is taken for data",
        "drivers/tidegate_drivers/modbus/link.py",
        "            if function != question.pdu[0]:\n",
        "            if function != question.pdu[0]:\n"
        "                data = bytes([question.reply_bytes]) + data * question.reply_bytes\n"
        "            if False:\n",
        MODBUS,
        ("wrong values accepted",),
    ),
    Mutation(
        "a Modbus reply is taken before what follows it was looked at",
        "drivers/tidegate_drivers/modbus/link.py",
        "                    taken[transaction] = function, data\n",
        "                    self._take({transaction: (function, data)})\n",
        MODBUS,
        ("wrong values accepted",),
    ),
    Mutation(
        "a transaction number is used again while its late reply may come",
        "drivers/tidegate_drivers/modbus/link.py",
        "            while transaction in self._abandoned or transaction in self._due:\n",
        "            while transaction in self._due:\n",
        ("tests.campaigns.modbus", "100000", "--seed", "1", "--round", "2"),
        ("wrong values accepted", "what their kind may not become"),
    ),
    Mutation(
        "half a Modbus reply leaves its connection open",
        "drivers/tidegate_drivers/modbus/link.py",
        "        if self._end:\n",
        "        if False:\n",
        MODBUS,
        ("what their kind may not become",),
    ),
    Mutation(
        "a Modbus reading has the time of something else than its reply",
        "drivers/tidegate_drivers/modbus/link.py",
        "                self._replies[index] = mono_us, self._last\n",
        "                self._replies[index] = mono_us - 10, self._last\n",
        MODBUS,
        ("wrong values accepted",),
    ),
    Mutation(
        "a Modbus read that failed leaves itself to the garbage collector",
        "drivers/tidegate_drivers/modbus/poll.py",
        "            del asked\n",
        "            pass\n",
        MODBUS,
        ("left to the garbage collector",),
    ),
    Mutation(
        "the compiled decoder forgets the order of registers",
        "drivers/tidegate_drivers/modbus/_codec_c.pyx",
        "registers - 1 - i if code & SWAP_REGISTERS else i",
        "i",
        tests("tests/drivers/test_modbus_codec.py"),
        ("compiled", "test_the_twins_agree"),
    ),
    Mutation(
        "the pure decoder forgets the order of registers",
        "drivers/tidegate_drivers/modbus/_codec_py.py",
        "        registers.reverse()\n",
        "        pass\n",
        tests("tests/drivers/test_modbus_driver.py"),
        ("FAILED tests/drivers",),
    ),
    Mutation(
        "a target that a reload changed begins its runs with the first number again",
        "agent/tidegate/stages.py",
        "runs=self._runs.get(settings.name, 0),",
        "runs=0,",
        tests("tests/test_reload.py"),
        ("test_a_changed_target_gives_no_runs_number",),
    ),
    Mutation(
        "a connection that we gave up keeps its socket",
        "agent/tidegate/publish/session.py",
        "        close(self._client)\n",
        '        globals().setdefault("LEFT", []).append(self._client)\n',
        tests("tests/publish/test_dead_link.py"),
        ("test_links_that_we_gave_up",),
    ),
    Mutation(
        "every message leaves its text behind in memory",
        "agent/tidegate/publish/delivery.py",
        "        self._counts.messages += 1\n",
        '        self._counts.messages += 1\n        globals().setdefault("LEFT", []).append(payload)\n',
        SOAK,
        ("private memory",),
    ),
)
