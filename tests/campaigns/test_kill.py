"""A kill campaign of three, so that every run of the tests has seen the whole way survive."""

from pathlib import Path

from tests.campaigns.kill import campaign


def test_three_kills_lose_nothing(tmp_path: Path) -> None:
    assert campaign(3, tmp_path, seed=1)
