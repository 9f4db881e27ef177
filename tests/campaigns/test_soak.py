"""What the soak campaign and the table of all campaigns make of what they see."""

import random
from pathlib import Path

import pytest

from tests.campaigns.footprint import Sample, growth_kb_min
from tests.campaigns.mutations import DoesNotApply, broken_copy
from tests.campaigns.mutations_locks import LOCKS
from tests.campaigns.mutations_plans import PLANS
from tests.campaigns.mutations_surveys import SURVEYS
from tests.campaigns.mutations_table import MUTATIONS, Mutation
from tests.campaigns.mutations_transports import TRANSPORTS
from tests.campaigns.mutations_types import TYPES
from tests.campaigns.mutations_writes import WRITES
from tests.campaigns.whole import CAMPAIGNS, claims

ALL = (*MUTATIONS, *PLANS, *TRANSPORTS, *LOCKS, *SURVEYS, *TYPES, *WRITES)
MINUTES = 10


def looks(leak_kb_min: float, noise_kb: int, steps_kb: int = 0) -> list[Sample]:
    """A look a second: a start that grows, then a leak; now and then something is used for some seconds."""
    chance = random.Random(1)
    made = []
    for second in range(60 * MINUTES):
        begun = 5000 * (1 - 0.98**second)
        busy = chance.choice((0, 0, 1500)) + steps_kb * (second == 400)
        kb = 30_000 + begun + leak_kb_min * second / 60 + chance.randrange(noise_kb) + busy
        made.append(Sample(float(second), round(kb), 17, 4, 15, 0, 1))
    return made


@pytest.mark.parametrize("leak_kb_min", [0.0, 60.0, 400.0])
def test_a_leak_is_told_from_what_is_used_for_a_moment(leak_kb_min: float) -> None:
    slope, _ = growth_kb_min(looks(leak_kb_min, noise_kb=300, steps_kb=20_000))

    assert abs(slope - leak_kb_min) < 30


def test_a_claim_that_is_printed_twice_is_one_claim() -> None:
    said = [
        "broker campaign: 1,000 readings/s", "  ok    it holds", "  FAIL  it does not", "        because of this",
        "broker campaign, 7 s", "  ok    it holds", "  FAIL  it does not", "ok    0 faults (seed 1)", "okay, then",
    ]  # fmt: skip

    assert (2, ["it does not"]) == claims(said)


def test_a_mutation_that_the_code_has_left_behind_is_said(tmp_path: Path) -> None:
    gone = Mutation("gone", "agent/tidegate/watchdog.py", "nobody writes this", "", (), ())

    with pytest.raises(DoesNotApply, match=r"watchdog\.py no longer has this once: nobody writes this"):
        broken_copy(gone, tmp_path)


def test_names_of_campaigns_and_mutations_are_told_apart() -> None:
    assert len(CAMPAIGNS) == len({campaign.name for campaign in CAMPAIGNS})
    assert len(ALL) == len({mutation.name for mutation in ALL})


@pytest.mark.parametrize("mutation", ALL, ids=lambda mutation: mutation.name)
def test_every_mutation_still_applies(mutation: Mutation) -> None:
    text = (Path(__file__).parent.parent.parent / mutation.file).read_text()

    assert 1 == text.count(mutation.old)
    assert mutation.new != mutation.old
