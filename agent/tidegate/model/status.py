"""Status codes of a reading: OPC UA StatusCodes (OPC 10000-4 §7.39, OPC 10000-6 Annex A.2), and only those we use.

The two topmost bits are the severity: 0 good, 1 uncertain, 2 bad.
"""

GOOD = 0x00000000
UNCERTAIN = 0x40000000
UNCERTAIN_LAST_USABLE_VALUE = 0x40900000
UNCERTAIN_DATA_SUB_NORMAL = 0x40A40000
UNCERTAIN_CONFIGURATION_ERROR = 0x420F0000
BAD = 0x80000000
BAD_DECODING_ERROR = 0x80070000
BAD_ENCODING_LIMITS_EXCEEDED = 0x80080000
BAD_TIMEOUT = 0x800A0000
BAD_DATA_TYPE_ID_UNKNOWN = 0x80110000
BAD_NO_COMMUNICATION = 0x80310000
BAD_WAITING_FOR_INITIAL_DATA = 0x80320000
BAD_NODE_ID_INVALID = 0x80330000
BAD_NODE_ID_UNKNOWN = 0x80340000
BAD_INDEX_RANGE_NO_DATA = 0x80370000
BAD_NOT_READABLE = 0x803A0000
BAD_OUT_OF_RANGE = 0x803C0000
BAD_TYPE_MISMATCH = 0x80740000
BAD_CONFIGURATION_ERROR = 0x80890000
BAD_DEVICE_FAILURE = 0x808B0000
BAD_SENSOR_FAILURE = 0x808C0000
BAD_NO_DATA = 0x809B0000

_NAMES = {value: name for name, value in list(globals().items()) if name.isupper() and not name.startswith("_")}


def is_bad(status: int) -> bool:
    """Severity Bad: the value must not be used, and is published as null."""
    return status >= 0x80000000


def is_good(status: int) -> bool:
    """Severity Good."""
    return status < 0x40000000


def name(status: int) -> str:
    """The name a person reads, as OPC UA spells it: 0x80310000 is BadNoCommunication; unknown codes print as hex."""
    known = _NAMES.get(status & 0xFFFF0000)
    if known is None:
        return f"0x{status:08X}"
    return "".join(word.capitalize() for word in known.split("_"))
