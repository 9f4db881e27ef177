"""Standard: structures that every server may use, and some servers define nowhere (OPC 10000-5 §12, OPC 10000-8 §5.6).

Among them those in which definitions themselves come: without them no server could be asked.
"""

from tidegate_drivers.opcua.structures import Field, Structure, Types
from tidegate_drivers.opcua.wire import (
    BOOLEAN,
    DATE_TIME,
    DOUBLE,
    FLOAT,
    INT16,
    INT32,
    INT64,
    LOCALIZED_TEXT,
    NODE_ID,
    QUALIFIED_NAME,
    STRING,
    UINT32,
    VARIANT,
    Identifier,
)

STRUCTURE_FIELD, ENUM_FIELD, BUILD_INFO, RANGE, UNITS = 101, 102, 338, 884, 887
STATES = {
    0: "Running", 1: "Failed", 2: "NoConfiguration", 3: "Suspended", 4: "Shutdown", 5: "Test",
    6: "CommunicationFault", 7: "Unknown",
}  # fmt: skip


def _inner(name: str, data_type: int, rank: int = -1) -> Field:
    return Field(name, 0, rank, structure=Identifier(0, data_type))


def _of(**fields: int) -> tuple[Field, ...]:
    return tuple(Field(name, builtin) for name, builtin in fields.items())


# By the numbers of the data type and of its binary encoding, in namespace 0.
STANDARD: dict[tuple[int, int], Structure] = {
    (99, 122): Structure(
        "StructureDefinition",
        (*_of(DefaultEncodingId=NODE_ID, BaseDataType=NODE_ID, StructureType=INT32),
         _inner("Fields", STRUCTURE_FIELD, 1)),
    ),
    (STRUCTURE_FIELD, 14844): Structure(
        "StructureField",
        (*_of(Name=STRING, Description=LOCALIZED_TEXT, DataType=NODE_ID, ValueRank=INT32),
         Field("ArrayDimensions", UINT32, 1), *_of(MaxStringLength=UINT32, IsOptional=BOOLEAN)),
    ),
    (100, 123): Structure("EnumDefinition", (_inner("Fields", ENUM_FIELD, 1),)),
    (ENUM_FIELD, 14845): Structure(
        "EnumField", _of(Value=INT64, DisplayName=LOCALIZED_TEXT, Description=LOCALIZED_TEXT, Name=STRING)
    ),
    (7594, 8251): Structure(
        "EnumValueType", _of(Value=INT64, DisplayName=LOCALIZED_TEXT, Description=LOCALIZED_TEXT)
    ),
    (RANGE, 886): Structure("Range", _of(Low=DOUBLE, High=DOUBLE)),
    (UNITS, 889): Structure(
        "EUInformation",
        _of(NamespaceUri=STRING, UnitId=INT32, DisplayName=LOCALIZED_TEXT, Description=LOCALIZED_TEXT),
    ),
    (296, 298): Structure(
        "Argument",
        (*_of(Name=STRING, DataType=NODE_ID, ValueRank=INT32), Field("ArrayDimensions", UINT32, 1),
         Field("Description", LOCALIZED_TEXT)),
    ),
    (8912, 8917): Structure("TimeZoneDataType", _of(Offset=INT16, DaylightSavingInOffset=BOOLEAN)),
    (12079, 12089): Structure(
        "AxisInformation",
        (_inner("EngineeringUnits", UNITS), _inner("EURange", RANGE), *_of(Title=LOCALIZED_TEXT, AxisScaleType=INT32),
         Field("AxisSteps", DOUBLE, 1)),
    ),
    (12080, 12090): Structure("XVType", _of(X=DOUBLE, Value=FLOAT)),
    (12171, 12181): Structure("ComplexNumberType", _of(Real=FLOAT, Imaginary=FLOAT)),
    (12172, 12182): Structure("DoubleComplexNumberType", _of(Real=DOUBLE, Imaginary=DOUBLE)),
    (14533, 14846): Structure("KeyValuePair", _of(Key=QUALIFIED_NAME, Value=VARIANT)),
    (BUILD_INFO, 340): Structure(
        "BuildInfo",
        _of(ProductUri=STRING, ManufacturerName=STRING, ProductName=STRING, SoftwareVersion=STRING,
            BuildNumber=STRING, BuildDate=DATE_TIME),
    ),
    (862, 864): Structure(
        "ServerStatusDataType",
        (*_of(StartTime=DATE_TIME, CurrentTime=DATE_TIME), Field("State", INT32, names=STATES),
         _inner("BuildInfo", BUILD_INFO), *_of(SecondsTillShutdown=UINT32, ShutdownReason=LOCALIZED_TEXT)),
    ),
}  # fmt: skip


def standard_types(namespaces: tuple[str, ...] = ()) -> Types:
    """The types of a server that has not been asked yet; `namespaces` are its NamespaceArray."""
    types = Types(namespaces)
    for (data_type, encoding), structure in STANDARD.items():
        types.add(Identifier(0, data_type), structure, Identifier(0, encoding))
    return types
