"""The registry takes what keeps the contract, and reports the rest without stopping."""

from importlib.metadata import EntryPoint

from tidegate.acquire.driver import ENTRY_POINTS
from tidegate.acquire.registry import Registry, broken, drivers

HERE = "tests.acquire.test_registry"


class Good:
    contract = 1


class FromTheFuture:
    contract = 2


def point(name: str, value: str) -> EntryPoint:
    return EntryPoint(name, value, ENTRY_POINTS)


def test_the_shipped_drivers_are_found_and_whole() -> None:
    assert {"modbus", "simulator"} <= set(drivers())
    assert broken() == ()


def test_a_driver_of_another_contract_is_reported() -> None:
    registry = Registry([point("new", f"{HERE}:FromTheFuture"), point("good", f"{HERE}:Good")])

    assert ["good"] == list(registry.drivers)
    assert "contract 2" in str(registry.problems[0])


def test_a_driver_that_fails_to_import_does_not_stop_the_rest() -> None:
    registry = Registry([point("gone", "no.such.module:Driver"), point("good", f"{HERE}:Good")])

    assert ["good"] == list(registry.drivers)
    assert "failed to import" in str(registry.problems[0])


def test_a_name_claimed_twice_is_given_to_nobody() -> None:
    registry = Registry([point("x", f"{HERE}:Good"), point("x", f"{HERE}:FromTheFuture")])

    assert registry.drivers == {}
    assert "claimed by" in str(registry.problems[0])
