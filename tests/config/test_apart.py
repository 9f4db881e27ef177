"""A configuration that another process loads is the same, and so are its problems; a secret does not go that way."""

import contextlib
import io
import os
from pathlib import Path
from typing import Any

import pytest

from tidegate.config.apart import NotLoaded, load_apart
from tidegate.config.load import load
from tidegate.config.loading import main
from tidegate.errors import ConfigError

CANARY = "kanarienvogel-7731"
ROOT = Path(__file__).parent.parent.parent
SAMPLES = [ROOT / "docs/example/gateway.toml", *sorted((ROOT / "drivers").rglob("sample.toml"))]


def with_password(place: Any) -> dict[str, str]:
    """A configuration with two secrets, and its environment."""
    place.change(
        'url = "mqtt://127.0.0.1:1883"\n',
        'url = "mqtt://127.0.0.1:1883"\nuser = "u"\npassword = "${credential:broker}"\n'
        'proxy = "http://proxy:3128"\nproxy_user = "p"\nproxy_password = "${env:TIDEGATE_TEST_PROXY}"\n',
    )
    place.write("credentials/broker", CANARY).chmod(0o600)
    return {**os.environ, "TIDEGATE_TEST_PROXY": CANARY + "-p"}


def test_it_is_the_configuration_that_is_loaded_here(place: Any) -> None:
    env = with_password(place)
    here, apart = load(place.path, env), load_apart(place.path, env)

    assert here == apart
    assert apart.targets[0].password is not None
    assert apart.targets[0].password.reveal() == CANARY
    assert apart.targets[0].proxy_password is not None
    assert apart.targets[0].proxy_password.reveal() == CANARY + "-p"


@pytest.mark.parametrize("sample", SAMPLES, ids=[str(path.relative_to(ROOT)) for path in SAMPLES])
def test_every_sample_comes_over_whole(sample: Path) -> None:
    def outcome(loading: Any) -> Any:
        try:
            return loading(sample, os.environ)
        except ConfigError as error:
            return error.problems

    assert outcome(load) == outcome(load_apart)


def test_a_credential_that_changes_later_is_read_again(place: Any) -> None:
    password = load_apart(place.path, with_password(place)).targets[0].password
    place.write("credentials/broker", "another")

    assert password is not None
    assert password.renewed().reveal() == "another"


def test_no_secret_goes_from_one_process_to_the_other(place: Any) -> None:
    out = io.BytesIO()
    main(place.path, with_password(place), out)

    assert b"${credential:broker}" in out.getvalue()
    assert CANARY.encode() not in out.getvalue()


def test_all_problems_are_told_as_they_are_here(place: Any) -> None:
    place.change("int16", "int17", "press.csv")
    place.change('name = "g1"', 'name = "g1"\nnane = "x"')
    with pytest.raises(ConfigError) as here:
        load(place.path, os.environ)
    with pytest.raises(ConfigError) as apart:
        load_apart(place.path, os.environ)

    assert here.value.problems == apart.value.problems
    assert len(apart.value.problems) >= 2


def test_what_lies_in_the_current_folder_is_no_module_of_ours(place: Any, tmp_path: Path) -> None:
    here = tmp_path / "here"
    here.mkdir()
    (here / "pydantic.py").write_text("raise SystemExit(3)")
    with contextlib.chdir(here):
        loaded = load_apart(place.path, os.environ)

    assert loaded.gateway == "g1"


def test_a_process_that_dies_is_told_as_that(place: Any, tmp_path: Path) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "pydantic.py").write_text("raise SystemExit(3)")
    with pytest.raises(NotLoaded, match="ended with 3"):
        load_apart(place.path, {**os.environ, "PYTHONPATH": str(tmp_path / "broken")})
