"""The RTU and ASCII campaign: hostile lines against the real driver, on virtual time and through pty pairs.

    python -m tests.campaigns.rtu 600000 [--ports 20000] [--seed 7] [--round 12]

The rounds on virtual time follow from seed and round alone, to the last byte. Exits 1 when a claim does not hold.
"""

import argparse
import random
import signal
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from tests.campaigns.checker import Finding
from tests.campaigns.modbus import table
from tests.campaigns.modbus_checker import Verdict
from tests.campaigns.rtu_frames import ASCII, RTU
from tests.campaigns.rtu_ports import campaign as through_ports
from tests.campaigns.rtu_virtual import FAILURES_MAX, LineRound, play

ROUND_REPLIES = 25_000
PROCESSES = 2
TELL_EVERY = 10
REPLIES, PORT_REPLIES = 600_000, 20_000


def virtually(replies: int, seed: int, only: int | None) -> list[Finding]:
    """All rounds on virtual time, or one; what they showed."""
    sizes = [min(ROUND_REPLIES, replies - begin) for begin in range(0, replies, ROUND_REPLIES)]
    wanted = list(enumerate(sizes)) if only is None else [(only, min(replies, ROUND_REPLIES))]
    begin, done = time.monotonic(), []
    with ProcessPoolExecutor(PROCESSES, get_context("spawn")) as pool:
        for played in pool.map(play, *zip(*[(seed, index, size) for index, size in wanted], strict=True)):
            done.append(played)
            if not len(done) % TELL_EVERY:
                print(f"  {len(done)} of {len(wanted)} rounds, {time.monotonic() - begin:.0f} s", flush=True)
    return judged(done, seed, time.monotonic() - begin)


def judged(done: list[LineRound], seed: int, took_s: float) -> list[Finding]:
    """Findings over rounds, after a table of what became of each kind of reply."""
    total = Verdict()
    for played in done:
        total.add(played.verdict)
        for sentence in played.verdict.told:
            print(f"    round {played.index}, {played.framing}: {sentence}")
        if played.verdict.told or not played.lively or played.left_over:
            print(f"    again: python -m tests.campaigns.rtu {ROUND_REPLIES} --seed {seed} --round {played.index}")
    print(table(total))
    found = [_accepted(framing, [played for played in done if played.framing == framing]) for framing in (RTU, ASCII)]
    hours = sum(played.virtual_s for played in done) / 3600
    lively = sum(played.lively for played in done)
    left = [f"round {played.index}: {played.left_over}" for played in done if played.left_over]
    return [
        *[finding for finding in found if finding is not None],
        Finding(
            not total.misjudged,
            f"{total.misjudged} of {total.replies:,} replies became what their kind may not become, in {hours:,.0f} "
            f"hours played in {took_s:.0f} s",
        ),
        Finding(
            lively == len(done),
            f"{lively} of {len(done)} lines that turned honest were read again, all tags after {FAILURES_MAX} reads "
            "of each unit",
        ),
        Finding(not left, "; ".join(left) or "nothing was left: no tasks, timers, connections, links"),
    ]


def _accepted(framing: str, done: list[LineRound]) -> Finding | None:
    """The claim that counts most, for one framing."""
    if not done:
        return None
    wrong = sum(played.verdict.wrong_values for played in done)
    there, taken = sum(played.by_chance for played in done), sum(played.collisions for played in done)
    return Finding(
        not wrong,
        f"{framing.upper()}: {sum(played.verdict.replies for played in done):,} replies, {wrong} wrong values accepted "
        f"of {sum(played.verdict.values for played in done):,}; {there} damaged ones had a right checksum by chance, "
        f"{taken} were taken, as nobody can tell them",
    )


def main() -> None:
    """The command: see the module's text."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaigns.rtu")
    parser.add_argument("replies", type=int, nargs="?", default=REPLIES)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 16))
    parser.add_argument("--round", type=int, help="only this round, again")
    parser.add_argument("--ports", type=int, default=PORT_REPLIES, help="so many replies through ptys, or 0")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    print(f"rtu campaign: {given.replies:,} replies, seed {given.seed}", flush=True)
    findings = virtually(given.replies, given.seed, given.round)
    if given.ports and given.round is None:
        findings += through_ports(given.seed, given.ports)
    print(f"rtu campaign, seed {given.seed}")
    print("\n".join(map(str, findings)), flush=True)
    sys.exit(0 if all(finding.holds for finding in findings) else 1)


if __name__ == "__main__":
    main()
