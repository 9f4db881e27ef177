"""Secrets come from files that only their owner may read, and never show in a message."""

import os
from pathlib import Path
from typing import Any

import pytest

from tidegate.config.placeholders import Placeholders
from tidegate.config.quantities import Unfit
from tidegate.secret import Secret


def credential(folder: Path, data: bytes, mode: int = 0o600, name: str = "mqtt") -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_bytes(data)
    path.chmod(mode)
    return path


def refusal(placeholders: Placeholders, text: str = "${credential:mqtt}") -> str:
    with pytest.raises(Unfit) as refused:
        placeholders.secret(text)
    return str(refused.value)


def test_a_credential_beside_the_configuration_becomes_a_secret(tmp_path: Path) -> None:
    credential(tmp_path / "credentials", b"s3cret\n")

    assert Placeholders({}, tmp_path).secret("${credential:mqtt}") == Secret("s3cret")


def test_the_credentials_of_systemd_win(tmp_path: Path) -> None:
    credential(tmp_path / "credentials", b"old")
    credential(tmp_path / "run", b"new", mode=0o440)
    env = {"CREDENTIALS_DIRECTORY": str(tmp_path / "run")}

    assert Placeholders(env, tmp_path).secret("${credential:mqtt}") == Secret("new")


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604])
def test_a_credential_that_others_may_read_is_refused_with_the_command_that_mends_it(tmp_path: Path, mode: int) -> None:
    path = credential(tmp_path / "credentials", b"s3cret", mode)

    assert f"chmod 600 {path}" in refusal(Placeholders({}, tmp_path))


def test_a_credential_of_systemd_that_everybody_may_read_is_refused(tmp_path: Path) -> None:
    credential(tmp_path, b"s3cret", mode=0o444)

    assert "others may read" in refusal(Placeholders({"CREDENTIALS_DIRECTORY": str(tmp_path)}, tmp_path))


@pytest.mark.parametrize(
    ("data", "expected"), [(b"", "empty"), (b"\n", "empty"), (b"\xff", "UTF-8"), (b"x" * 70_000, "larger")]
)
def test_a_credential_that_is_none_is_refused(tmp_path: Path, data: bytes, expected: str) -> None:
    credential(tmp_path / "credentials", data)

    assert expected in refusal(Placeholders({}, tmp_path))


def test_a_credential_that_is_not_there_is_told_with_its_place(tmp_path: Path) -> None:
    assert str(tmp_path / "credentials" / "mqtt") in refusal(Placeholders({}, tmp_path))


def test_a_credential_that_is_a_pipe_does_not_hold_up_the_check(tmp_path: Path) -> None:
    (tmp_path / "credentials").mkdir()
    os.mkfifo(tmp_path / "credentials" / "mqtt", 0o600)

    assert "is not a file" in refusal(Placeholders({}, tmp_path))


@pytest.mark.parametrize("text", ["${credential:../mqtt}", "${credential:/etc/shadow}", "${credential:.hidden}"])
def test_a_credential_never_leaves_its_folder(tmp_path: Path, text: str) -> None:
    assert "is no placeholder" in refusal(Placeholders({}, tmp_path), text)


@pytest.mark.parametrize("text", ["hunter2", "x${credential:mqtt}", "${env:A}${env:B}", ""])
def test_a_secret_that_is_written_out_is_refused_without_repeating_it(tmp_path: Path, text: str) -> None:
    told = refusal(Placeholders({"A": "a", "B": "b"}, tmp_path), text)

    assert "a secret stands in the file" in told
    assert "hunter2" not in told


def test_a_password_may_come_from_the_environment(tmp_path: Path) -> None:
    assert Placeholders({"P": "s3cret"}, tmp_path).secret("${env:P}") == Secret("s3cret")


def test_what_is_filled_in_is_not_looked_at_again(tmp_path: Path) -> None:
    placeholders = Placeholders({"A": "${env:B}", "B": "b"}, tmp_path)

    assert placeholders.fill("<${env:A}-${env:B}-$${env:A}-$5>") == "<${env:B}-b-${env:A}-$5>"


@pytest.mark.parametrize("text", ["${env:A", "${}", "${env:}", "${ENV:A}", "${file:x}", "${env:A B}"])
def test_a_placeholder_with_a_slip_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(Unfit, match="is no placeholder"):
        Placeholders({"A": "a"}, tmp_path).fill(text)


def test_the_password_of_a_target_is_a_secret_that_does_not_print(place: Any) -> None:
    credential(place.folder / "credentials", b"hunter2")
    place.change('name = "local"', 'name = "local"\nuser = "u"\npassword = "${credential:mqtt}"')
    config = place.load()

    assert config.targets[0].password == Secret("hunter2")
    assert "hunter2" not in repr(config)


def test_a_password_whose_file_was_changed_is_read_again(place: Any) -> None:
    credential(place.folder / "credentials", b"old")
    place.change(
        'name = "local"', 'name = "local"\nuser = "u"\npassword = "${credential:mqtt}"\nfallbacks = ["${env:B}"]'
    )
    place.env["B"] = "mqtts://backup"
    target = place.load().targets[0]
    secret = target.password
    kept = place.folder / "credentials" / "mqtt"
    kept.write_bytes(b"new")

    assert target.fallbacks == ("mqtts://backup",)
    assert secret is not None
    assert secret.renewed() == Secret("new")
    kept.unlink()
    assert secret.renewed() == Secret("old")
