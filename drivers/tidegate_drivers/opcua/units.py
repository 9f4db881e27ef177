"""Engineering units: what an EUInformation says, as the text of a tag's unit. Source: OPC 10000-8 §5.6.4.

Its unit id is the UNECE code (Recommendation 20) as a number: 4408652 is `CEL`, its letters as bytes.
"""

from tidegate_drivers.opcua.browsepath import STANDARD_URI

LETTERS_MAX = 40
# The spellings of codes that come without a display name.
SYMBOLS = {
    "CEL": "°C", "FAH": "°F", "KEL": "K", "P1": "%", "MTR": "m", "MMT": "mm", "CMT": "cm", "4H": "µm", "KTM": "km",
    "MTK": "m²", "MMK": "mm²", "MTQ": "m³", "LTR": "l", "MLT": "ml", "KGM": "kg", "GRM": "g", "TNE": "t",
    "SEC": "s", "C26": "ms", "B98": "µs", "MIN": "min", "HUR": "h", "DAY": "d", "HTZ": "Hz", "KHZ": "kHz",
    "RPM": "1/min", "RPS": "1/s", "MTS": "m/s", "KMH": "km/h", "C16": "mm/s", "MSK": "m/s²", "PAL": "Pa", "KPA": "kPa",
    "MPA": "MPa", "BAR": "bar", "MBR": "mbar", "A97": "hPa", "NEW": "N", "B47": "kN", "NU": "N·m", "JOU": "J",
    "KJO": "kJ", "WHR": "Wh", "KWH": "kWh", "MWH": "MWh", "WTT": "W", "KWT": "kW", "MAW": "MW", "D46": "VA",
    "KVA": "kVA",
    "D44": "var", "KVR": "kvar", "VLT": "V", "2Z": "mV", "KVT": "kV", "AMP": "A", "4K": "mA", "OHM": "Ω", "FAR": "F",
    "DD": "°", "C81": "rad", "MQH": "m³/h", "MQS": "m³/s", "L2": "l/min", "E32": "l/h", "KGS": "kg/s", "E93": "kg/h",
    "59": "ppm", "LUX": "lx", "2N": "dB", "C62": "", "D10": "S/m",
}  # fmt: skip


def unit_text(uri: str, number: int, shown: str) -> str:
    """The unit of an EUInformation: its display name, else what its code stands for, else the code; "" for none."""
    text = clean(shown, LETTERS_MAX)
    if text or not 0 < number < 2**32 or uri == STANDARD_URI:
        return text
    letters = number.to_bytes(4, "big").lstrip(b"\0")
    code = letters.decode("ascii", "replace")
    return SYMBOLS.get(code, code if code.isalnum() and code.isascii() else "")


def clean(text: object, letters_max: int) -> str:
    """What a server says, in one line without control characters, and no longer than that."""
    line = " ".join(str(text).split()) if text else ""
    line = "".join(letter for letter in line if letter.isprintable())
    return line if len(line) <= letters_max else line[: letters_max - 1] + "…"
