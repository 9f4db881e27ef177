"""Rate: how much a target may send a second, and the pauses that a broker's quota asks for. Times in loop time."""

# What was not sent may be made up for, but no more than this: a target that was idle does not flood its line.
CREDIT_S = 1.0
QUOTA_PAUSE_S_MIN = 1.0
QUOTA_PAUSE_S_MAX = 60.0


class Rate:
    """Kept over the connections of a target. None = no limit.

    A message may always be sent whole when its time has come; the next one waits for what it cost.
    """

    def __init__(self, messages_s_max: float | None, bytes_s_max: int | None) -> None:
        self._message_s = 1 / messages_s_max if messages_s_max else 0.0
        self._byte_s = 1 / bytes_s_max if bytes_s_max else 0.0
        self._messages_due_s = self._bytes_due_s = self._quota_due_s = 0.0
        self._pause_s = QUOTA_PAUSE_S_MIN

    @property
    def due_s(self) -> float:
        """From when on the next message may go."""
        return max(self._messages_due_s, self._bytes_due_s, self._quota_due_s)

    def sent(self, size: int, now_s: float) -> None:
        """A message of so many bytes went out."""
        if self._message_s:
            self._messages_due_s = max(self._messages_due_s, now_s - CREDIT_S) + self._message_s
        if self._byte_s:
            self._bytes_due_s = max(self._bytes_due_s, now_s - CREDIT_S) + self._byte_s * size

    def exceeded(self, now_s: float) -> float:
        """The broker's quota is used up: nothing goes for a while, each time longer; how long, in seconds."""
        if now_s >= self._quota_due_s:
            self._quota_due_s = now_s + self._pause_s
            self._pause_s = min(self._pause_s * 2, QUOTA_PAUSE_S_MAX)
        return self._quota_due_s - now_s

    def accepted(self, now_s: float) -> None:
        """The broker took data that was sent after the last pause."""
        if now_s >= self._quota_due_s:
            self._pause_s = QUOTA_PAUSE_S_MIN
