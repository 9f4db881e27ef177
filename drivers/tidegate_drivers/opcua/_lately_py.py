"""What was told last of each tag: the specification of _lately_c.pyx."""

from tidegate.model.frame import U32


def note(last: bytearray, tags: bytes, items: bytes) -> None:
    """In a column of 8 bytes a tag, put the item (8 bytes; one holds for all) of each of some tags (u32).

    Of a tag that comes twice the later stands. Raises ValueError where a tag has no place, and for a wrong length.
    """
    if len(tags) % 4 or len(last) % 8 or len(items) not in (8, 2 * len(tags)):
        raise ValueError("columns of u32 have 4 bytes an item, the others 8")
    for at, (tag,) in enumerate(U32.iter_unpack(tags)):
        if 8 * tag >= len(last):
            raise ValueError("a tag has no place")
        place = 0 if len(items) == 8 else 8 * at
        last[8 * tag : 8 * tag + 8] = items[place : place + 8]
