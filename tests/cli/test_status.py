"""What `tidegate status` says of a device."""

from tidegate.acquire.unit import DeviceStatus
from tidegate.cli.status import device_lines
from tidegate.health import plain

HOUR_US = 3_600_000_000


def lines(failures: tuple[tuple[str, int], ...], exceptions: tuple[tuple[int, int], ...]) -> list[str]:
    status = DeviceStatus(
        "pump", "up", "", 0, 1200, failures, 3, 11.0, 12.3, None, (), 40.1, exceptions,
        (("spoiled replies", 7),) if failures else (), 2 * HOUR_US,
    )  # fmt: skip
    return device_lines(plain(status), 5 * HOUR_US)


def test_a_device_without_faults_is_one_line_with_its_round_trips() -> None:
    assert ["device  pump: up, 1,200 reads, 12.3 ms (99 %: 40.1 ms), 3 missed"] == lines((), ())


def test_faults_are_told_by_kind_and_code_and_since_when() -> None:
    told = lines((("no answer", 5), ("refused", 2)), ((6, 2),))

    assert told[1:] == ["        in 3.0 h: no answer: 5, exception 6: 2, spoiled replies: 7"]
