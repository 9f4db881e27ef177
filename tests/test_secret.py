"""A secret shows in none of the ways in which text gets into logs, errors, statuses and files."""

import dataclasses
import json
import logging
import pickle
from collections.abc import Callable
from io import StringIO

import pytest

from tidegate.health import plain
from tidegate.secret import Secret

CANARY = "kanarienvogel-7731"


@dataclasses.dataclass(frozen=True, slots=True)
class Account:
    """What holds a secret."""

    user: str
    password: Secret


def logged(secret: Secret) -> str:
    written = StringIO()
    logger = logging.Logger("of this test")
    logger.addHandler(logging.StreamHandler(written))
    logger.error("password %s, %r, %s", secret, secret, {"of": [secret]})
    return written.getvalue()


WAYS: dict[str, Callable[[Secret], str]] = {
    "str": str,
    "repr": repr,
    "f-string": lambda secret: f"{secret}, {secret!r}",
    "percent": lambda secret: "%s %r" % (secret, secret),  # noqa: UP031  # one of the ways
    "a dataclass": lambda secret: str(Account("u", secret)),
    "asdict": lambda secret: str(plain(Account("u", secret))),
    "a traceback": lambda secret: str(ValueError("no such password", secret)),
    "a log": logged,
    "JSON of what can't be JSON": lambda secret: json.dumps(secret, default=str),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
def test_a_secret_can_not_be_printed(way: Callable[[Secret], str]) -> None:
    shown = way(Secret(CANARY))

    assert shown != ""
    assert CANARY not in shown


def test_a_secret_can_not_be_pickled() -> None:
    with pytest.raises(TypeError, match="can't be pickled") as refused:
        pickle.dumps(Secret(CANARY))

    assert CANARY not in str(refused.value)


def test_only_reveal_gives_it() -> None:
    assert CANARY == Secret(CANARY).reveal()
