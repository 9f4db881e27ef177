"""Surveys are found as entry points; one that can't be used takes none of the others along."""

from importlib.metadata import EntryPoint

import pytest

from tidegate.acquire.survey import SURVEYS
from tidegate.acquire.surveys import of_address, surveys
from tidegate_drivers.modbus.survey import ModbusSurvey

MODBUS = EntryPoint("modbus", "tidegate_drivers.modbus.survey:ModbusSurvey", SURVEYS)
BROKEN = EntryPoint("broken", "tidegate_drivers.nowhere:Nothing", SURVEYS)
NO_SURVEY = EntryPoint("old", "tidegate_drivers.modbus.driver:ModbusDriver.name", SURVEYS)


def test_the_survey_of_modbus_is_installed() -> None:
    assert ModbusSurvey in surveys()


def test_what_can_not_be_used_takes_none_along() -> None:
    assert [ModbusSurvey] == surveys([BROKEN, MODBUS, NO_SURVEY])


@pytest.mark.parametrize(("address", "listening"), [("tcp://h", False), ("rtu:///dev/x", True), ("/dev/x", True)])
def test_an_address_finds_its_survey_by_its_scheme(address: str, listening: bool) -> None:
    assert ModbusSurvey is of_address([ModbusSurvey], address, listening)


@pytest.mark.parametrize("address", ["/dev/x", "opc.tcp://h", "h:502"])
def test_an_address_of_no_survey_is_answered_with_what_there_is(address: str) -> None:
    with pytest.raises(ValueError, match=r"known are: tcp://, rtu://"):
        of_address([ModbusSurvey], address, False)
