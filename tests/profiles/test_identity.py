"""Places say what registers hold, and steps know the answers of their devices."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.profiles.identity import Ask, Kind, Place, Step, Wanted


@pytest.mark.parametrize(
    ("at", "kind", "length", "words", "text"),
    [
        ("input 0x000B", "uint16", 0, (341,), "341"),
        ("holding 30051", "uint32", 0, (0, 8001), "8001"),
        ("holding 0x8960", "string", 12, (0x4232, 0x3320, 0x3131, 0x322D, 0x3130, 0x3000), "B23 112-100"),
        ("holding 1637", "dotted", 3, (1, 14, 2), "1.14.2"),
        ("holding 30059", "bytes", 4, (0x0214, 0x0501), "2.20.5.1"),
        ("input 0x0304", "nibbles", 0, (0x1205,), "1.2.5"),
    ],
)
def test_a_place_says_what_its_registers_hold(
    at: str, kind: str, length: int, words: tuple[int, ...], text: str
) -> None:
    place = Place.parse(at, kind, length)

    assert place.count == len(words)
    assert place.text(words) == text


@pytest.mark.parametrize(
    ("at", "kind", "length", "told"),
    [
        ("coil 1", "uint16", 0, "is no place"),
        ("holding 0x1FFFF", "uint16", 0, "is no place"),
        ("holding 65535", "uint32", 0, "ends behind 0xFFFF"),
        ("holding 0", "string", 0, "needs its length"),
        ("holding 0", "string", 251, "at most 125 registers"),
        ("holding 0", "float32", 0, "is no type here"),
    ],
)
def test_what_is_no_place_is_refused(at: str, kind: str, length: int, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Place.parse(at, kind, length)


@given(st.sampled_from([kind for kind in Kind if kind != Kind.STRING]), st.data())
def test_what_registers_say_can_be_put_into_registers_again(kind: Kind, data: st.DataObject) -> None:
    place = Place.parse("holding 7", kind.value, 4)
    words = tuple(data.draw(st.lists(st.integers(0, 0xFFFF), min_size=place.count, max_size=place.count)))

    assert place.words(place.text(words)) == words


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=16))
def test_a_text_can_be_put_into_registers(text: str) -> None:
    place = Place.parse("holding 7", "string", 16)

    assert place.text(place.words(text)) == text


@pytest.mark.parametrize(
    ("said", "fits"),
    [
        ({"vendor": "ACME Ltd", "product": "M1-X"}, True),
        ({"vendor": "Acme", "product": "M1"}, True),
        ({"vendor": "Acme", "product": "N1"}, False),
        ({"vendor": "Acme"}, False),
    ],
)
def test_a_step_fits_when_every_part_of_the_answer_is_wanted(said: dict[str, str], fits: bool) -> None:
    step = Step(Ask.DEVICE_ID, (Wanted("vendor", ("acme*",)), Wanted("product", ("m1*", "m2*"))))

    assert step.fits(said) is fits


@pytest.mark.parametrize(
    ("pattern", "text", "version"),
    [("", " 1.14 ", "1.14"), (r"V([0-9.]+)", "M1 V1.14 (2020)", "1.14"), (r"V([0-9.]+)", "M1", "")],
)
def test_the_version_is_cut_out_of_what_was_read(pattern: str, text: str, version: str) -> None:
    assert Step(Ask.REGISTERS, (), version=pattern).firmware_of(text) == version
