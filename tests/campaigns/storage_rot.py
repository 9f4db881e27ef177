"""The claims about single flipped bits of `make campaign-disk`; the flips are tests/adversity/bitrot.py's."""

from pathlib import Path

from tests.adversity.bitrot import campaign
from tests.campaigns.checker import Finding

SALVAGED_MIN = 0.99
SHOWN_MAX = 8


def rot(flips: int, folder: Path, seed: int) -> list[Finding]:
    """Flip so many bits, one at a time; the claims."""
    folder.mkdir(parents=True)
    done = campaign(flips, folder, seed)
    wrong = [one for one in done if one.wrong]
    within = [one for one in done if one.block]
    missed = [one for one in within if not one.found]
    shares = sorted((one.kept / one.had, one.where) for one in done if one.had)
    found = sum(one.found for one in done)
    least, where = shares[0] if shares else (0.0, "nothing was hit")
    listed = "".join(f"\n        {one.where}: {'; '.join(one.wrong[:3])}" for one in wrong[:SHOWN_MAX])
    missed_at = "".join(f"\n        {one.where}" for one in missed[:SHOWN_MAX])
    return [
        Finding(not wrong, f"{flips} bits flipped, one at a time, in a sealed segment, the newest one and control.db: "
                f"in {len(wrong)} cases the start failed, a value was wrong, a number was used twice, or is missing "
                f"without a row (seed {seed}){listed}"),
        Finding(not missed, f"{len(within) - len(missed)} of {len(within)} flips inside a block's bytes were found"
                f"{missed_at}"),
        Finding(bool(shares) and least >= SALVAGED_MIN, f"of the segment that was hit at least {least:.2%} of the "
                f"frames came (at least {SALVAGED_MIN:.0%}; {where})"),
        Finding(True, f"over the whole files {found} of {flips} flips were found ({found / flips:.0%}): the rest lies "
                "in bytes that say nothing"),
    ]  # fmt: skip
