"""An ear on a line of RTU units: bytes into frames, and replies to their questions. It knows no ports, and is silent.

    bytes ──▶ at each place: a frame whose length fits and whose checksum is right? ──yes──▶ frame, go on behind it
                  ▲                          │ more bytes are needed ──▶ wait, until silence
                  └── one byte further ◀──no─┘     (what is left out so is told as noise)

A pause between bytes is only a hint, since adapters deliver bytes late and in heaps: it is the checksum that decides.
A question and a reply may have the same form (a write and its echo; three bytes of coils): which it is follows from
whether the unit was asked just before. Sources: MODBUS over Serial Line V1.02 §2.5.1, Application Protocol V1.1b3 §6.
"""

from collections import deque

from tidegate_drivers.modbus.framing import crc16
from tidegate_drivers.modbus.heard import SHOWN_BYTES, Frame, Heard, Kind, Missing, Noise
from tidegate_drivers.modbus.shapes import (
    CRC_BYTES,
    EXCEPTION_BYTES,
    EXCEPTION_FLAG,
    FRAME_BYTES_MAX,
    FRAME_BYTES_MIN,
    NEVER,
    READS,
    UNIT_MAX,
    question_bytes,
    reply_bytes,
)

# A frame with the form of a question and of the answer that is due is rather a question when it comes after so long.
ANSWER_S_MAX = 1.0
# Functions whose reply begins with, or is, what was asked.
ECHOED = {5: 4, 6: 4, 15: 4, 16: 4, 22: 6}
# Shorter frames are too easily made by accident to be believed in the middle of other bytes.
SURE_BYTES_MIN = 6
READ_WRITE = 23


class Ear:
    """Hears one line. `gap_s` is the pause after which a frame may begin. It keeps a few hundred bytes at most.

    `known` are the units of which a frame was heard.
    """

    def __init__(self, gap_s: float) -> None:
        self._gap_s = gap_s
        self._bytes = bytearray()
        # By place in all that was ever heard: when the bytes up to there had come, and where a pause was before.
        self._begin = 0
        self._marks: deque[tuple[int, float]] = deque()
        self._starts: deque[int] = deque()
        self._sure_at = 0
        self._last_s: float | None = None
        self._due: Frame | None = None
        self.known: set[int] = set()
        self._noise_at, self._noise_size, self._noise = 0.0, 0, b""
        self._damaged: int | None = None

    def hear(self, now_s: float, data: bytes) -> list[Heard]:
        """What is clear now that these bytes have come."""
        if not data:
            return []
        if self._last_s is None or now_s - self._last_s > self._gap_s:
            self._starts.append(self._begin + len(self._bytes))
        self._last_s = now_s
        self._bytes += data
        self._marks.append((self._begin + len(self._bytes), now_s))
        return self._look(False)

    def silence(self) -> list[Heard]:
        """What is clear when nothing has come for long: nothing of what came is still on its way."""
        return self._look(True)

    def _look(self, over: bool) -> list[Heard]:
        found: list[Heard] = []
        at = 0
        while at < len(self._bytes):
            place = self._begin + at
            while self._starts and self._starts[0] < place:
                self._starts.popleft()
            paused = bool(self._starts) and self._starts[0] == place
            length, kind = self._frame_at(at, paused or place == self._sure_at)
            if not length and kind is None and paused:
                length, kind = self._unformed_at(at, over)
            if length:
                self._flush(found)
                self._take(at, length, kind, found)
                at += length
                self._sure_at = self._begin + at
            elif kind is not None and not over:
                break
            else:
                if paused:
                    self._flush(found)
                self._skip(at, paused or place == self._sure_at)
                at += 1
        if over:
            self._flush(found)
        self._forget(at)
        return found

    def _frame_at(self, at: int, sure: bool) -> tuple[int, Kind | None]:
        """Length and kind of the frame that begins there; 0 and a kind when more bytes are needed to tell; 0, None."""
        head = bytes(self._bytes[at : at + FRAME_BYTES_MAX])
        due = self._due
        asked = due is not None and len(head) >= 2 and (due.unit, due.function) == (head[0], head[1] & ~EXCEPTION_FLAG)
        reply, question = reply_bytes(head), question_bytes(head)
        waits: Kind | None = None
        kinds = ((reply, Kind.REPLY), (question, Kind.QUESTION))
        for length, kind in kinds if asked and self._answers(head, at) else kinds[::-1]:
            if length == NEVER or (0 < length < SURE_BYTES_MIN and not sure and not (kind is Kind.REPLY and asked)):
                continue
            if not length or length > len(head):
                waits = waits or kind
            elif crc16(head[:length]) == 0:
                excepted = kind is Kind.REPLY and head[1] & EXCEPTION_FLAG
                return length, Kind.EXCEPTION if excepted else kind
        return 0, waits

    def _answers(self, head: bytes, at: int) -> bool:
        """Whether these bytes are rather the answer that is due than a question, where they have the form of both."""
        due = self._due
        assert due is not None
        if self._when(self._begin + at + 1) - due.end_s > ANSWER_S_MAX:
            return False
        if head[1] & EXCEPTION_FLAG or len(head) < 3:
            return True
        if due.function in READS or due.function == READ_WRITE:
            count = int.from_bytes(due.data[2:4], "big")
            return head[2] == ((count + 7) // 8 if due.function < 3 else 2 * count & 0xFF)
        echoed = ECHOED.get(due.function, 0)
        return head[2 : 2 + echoed] == due.data[:echoed]

    def _unformed_at(self, at: int, over: bool) -> tuple[int, Kind | None]:
        """The same for a function that has no form here: it is a frame when all between two pauses is one."""
        end = self._starts[1] - self._begin if len(self._starts) > 1 else len(self._bytes)
        frame = bytes(self._bytes[at:end])
        formed = question_bytes(frame) != NEVER or reply_bytes(frame) != NEVER
        if formed or len(frame) > FRAME_BYTES_MAX or not 0 < frame[0] <= UNIT_MAX or not frame[1]:
            return 0, None
        if end == len(self._bytes) and not over:
            return 0, Kind.OTHER
        return (len(frame), Kind.OTHER) if len(frame) > FRAME_BYTES_MIN and crc16(frame) == 0 else (0, None)

    def _take(self, at: int, length: int, kind: Kind | None, found: list[Heard]) -> None:
        """A frame: what it is to the question before it."""
        assert kind is not None
        frame = bytes(self._bytes[at : at + length])
        place = self._begin + at
        at_s, end_s = self._when(place + 1), self._when(place + length)
        unit, function, data = frame[0], frame[1], frame[2:-CRC_BYTES]
        due, answer_s = self._due, None
        if kind in (Kind.REPLY, Kind.EXCEPTION) and due is not None:
            if (due.unit, due.function) == (unit, function & ~EXCEPTION_FLAG):
                # Bytes of one heap have one time, which says nothing of how long the answer took.
                answer_s = at_s - due.end_s if at_s > due.end_s else None
                self._due = None
        elif kind is Kind.QUESTION:
            if due is not None:
                found.append(Missing(due.at_s, due.unit, due.function))
            self._due = None
        made = Frame(at_s, end_s, kind, unit, function, data, answer_s)
        if kind is Kind.QUESTION and unit:
            self._due = made
        self.known.add(unit)
        found.append(made)

    def _skip(self, at: int, sure: bool) -> None:
        """One more byte that begins no frame."""
        place = self._begin + at
        if not self._noise_size:
            self._noise_at = self._when(place + 1)
        unit = self._bytes[at]
        if self._damaged is None and sure and at + EXCEPTION_BYTES <= len(self._bytes) and unit in self.known:
            head = bytes(self._bytes[at : at + FRAME_BYTES_MAX])
            if max(question_bytes(head), reply_bytes(head)) > 0:
                self._damaged = unit
        if len(self._noise) < SHOWN_BYTES:
            self._noise += bytes((unit,))
        self._noise_size += 1

    def _flush(self, found: list[Heard]) -> None:
        """The noise so far is told, and begins anew."""
        if self._noise_size:
            found.append(Noise(self._noise_at, self._noise, self._noise_size, self._damaged))
        self._noise, self._noise_size, self._damaged = b"", 0, None

    def _when(self, place: int) -> float:
        """When the bytes up to a place had come."""
        for end, time_s in self._marks:
            if end >= place:
                return time_s
        return self._marks[-1][1]

    def _forget(self, at: int) -> None:
        """What lies before a place of the buffer is done with."""
        del self._bytes[:at]
        self._begin += at
        while len(self._marks) > 1 and self._marks[0][0] <= self._begin:
            self._marks.popleft()
