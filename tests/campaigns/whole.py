"""All campaigns at CI size, one after the other, and one table at the end.

    python -m tests.campaigns.whole [--list] [NAME ...]

They share the machine's two cores with nothing else while they run: claims about times would not stand that. Exits 1
when any claim of any campaign does not hold. Their whole output is kept beside one another when something failed.
"""

import argparse
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from demo.child import ROOT, python
from tests.campaigns.scene import leave, workplace

# All together, on two cores.
LIMIT_S = 1200.0
STOP_DEADLINE_S = 30.0
WORST_CHARS_MAX = 150
CLAIM = re.compile(r"^ *(ok|FAIL) +(.*)")


@dataclass(frozen=True, slots=True)
class Campaign:
    """One of them: what follows `python -m`, what that is in words, and how long it may take."""

    name: str
    command: tuple[str, ...]
    size: str
    deadline_s: float


# Of what takes minutes at full size, as much as still shows every claim.
CAMPAIGNS = (
    Campaign("power", ("tests.adversity.power", "400"), "400 states", 300),
    Campaign("disk", ("tests.campaigns.storage", "5"), "5 of each fault", 240),
    Campaign("modbus", ("tests.campaigns.modbus", "300000"), "300,000 replies", 240),
    Campaign("rtu", ("tests.campaigns.rtu", "100000", "--ports", "2000"), "100,000 replies", 240),
    Campaign("line", ("tests.campaigns.line", "--hours", "0.5", "--port-s", "0"), "32 units, 0.5 h", 240),
    Campaign("kill", ("tests.campaigns.kill", "25"), "25 kills", 240),
    Campaign("broker", ("tests.campaigns.broker", "3"), "10 faults, 3 kills", 360),
    Campaign("outage", ("tests.campaigns.outage", "--outage-s", "20"), "2 of 20 s", 300),
    Campaign("clock", ("tests.campaigns.clock",), "5 steps", 150),
    Campaign("copies", ("tests.campaigns.copies",), "3 cases", 180),
    Campaign("soak", ("tests.campaigns.soak", "180"), "180 s", 330),
    Campaign("demo", ("demo.run", "--seconds", "30", "--outage", "8"), "30 s", 120),
)


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one: claims that hold, claims in all, seconds, and the worst line ("" when all is well)."""

    campaign: Campaign
    held: int
    claims: int
    took_s: float
    worst: str

    @property
    def holds(self) -> bool:
        """Whether it ended well, and every claim holds."""
        return not self.worst

    def __str__(self) -> str:
        words = f"{'ok  ' if self.holds else 'FAIL'}  {self.campaign.name:8}  {self.campaign.size:20}"
        return f"  {words}  {self.held:3} of {self.claims:3}  {self.took_s:5.0f} s  {self.worst}".rstrip()


def run(campaign: Campaign, folder: Path) -> Result:
    """Run it to its end, with its output in a file of the folder."""
    log, begun_s = folder / f"{campaign.name}.log", time.monotonic()
    place = folder / campaign.name
    place.mkdir()
    with log.open("w") as written:
        # Its own session, so that at the deadline it can be ended with all that it started.
        process = subprocess.Popen(
            python(*campaign.command), cwd=ROOT, stdout=written, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            start_new_session=True, env={**os.environ, "TMPDIR": str(place)},
        )  # fmt: skip
        ended = ""
        try:
            code = process.wait(campaign.deadline_s)
        except subprocess.TimeoutExpired:
            ended = f"did not end within {campaign.deadline_s:.0f} s"
        finally:
            # By SIGTERM a campaign ends with its processes.
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                code = _waited(process)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    said = log.read_text(errors="replace")
    held, failed = claims(said.splitlines())
    if code != 0 and not failed and not ended:
        ended = f"exit {code}: {said.strip().splitlines()[-1] if said.strip() else 'it said nothing'}"
    worst = (ended or (failed[0] if failed else ""))[:WORST_CHARS_MAX]
    return Result(campaign, held, held + len(failed), time.monotonic() - begun_s, worst)


def _waited(process: "subprocess.Popen[bytes]") -> int:
    try:
        return process.wait(STOP_DEADLINE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait(STOP_DEADLINE_S)


def claims(lines: Iterable[str]) -> tuple[int, list[str]]:
    """How many claims hold, and those that do not. A claim that is printed while it is found and again is one."""
    found = dict.fromkeys(match.groups() for match in map(CLAIM.match, lines) if match)
    failed = [words for verdict, words in found if verdict == "FAIL"]
    return len(found) - len(failed), failed


def main() -> None:
    """The command: see the module's text."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaigns.whole")
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these")
    parser.add_argument("--keep", type=Path, help="keep their output in this folder")
    parser.add_argument("--list", action="store_true", help="say what there is, and run nothing")
    given = parser.parse_args()
    chosen = [campaign for campaign in CAMPAIGNS if not given.names or campaign.name in given.names]
    unknown = set(given.names) - {campaign.name for campaign in CAMPAIGNS}
    if unknown:
        parser.error(f"no campaign is called {', '.join(sorted(unknown))}")
    if given.list:
        for campaign in chosen:
            print(f"  {campaign.name:8}  {campaign.size:20}  python -m {' '.join(campaign.command)}")
        sys.exit(0)
    folder = workplace("all", given.keep)
    results: list[Result] = []
    begun_s = time.monotonic()
    for campaign in chosen:
        print(f"  {campaign.name} ({campaign.size}) ...", flush=True)
        results.append(run(campaign, folder))
        print(results[-1], flush=True)
    took_s = time.monotonic() - begun_s
    print(f"\nall campaigns: {took_s / 60:.1f} minutes, {os.cpu_count()} cores")
    print("\n".join(map(str, results)))
    in_time = took_s <= LIMIT_S
    print(f"  {'ok  ' if in_time else 'FAIL'}  {took_s:.0f} s in all (at most {LIMIT_S:.0f})")
    leave(folder, in_time and all(result.holds for result in results), given.keep)


if __name__ == "__main__":
    main()
