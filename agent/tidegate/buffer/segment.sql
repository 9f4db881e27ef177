-- One segment: blocks of frames, the tag tables that they use, and what it takes to read it alone. Version 1.
-- A segment is never migrated: a reader knows every version that was ever written.
CREATE TABLE meta (
    epoch TEXT NOT NULL,              -- 16 hex digits
    first INTEGER NOT NULL,           -- number of the first frame
    before BLOB NOT NULL,             -- hash of the last block before this segment, 32 bytes (zeros: none)
    made_us INTEGER NOT NULL          -- wall time of its making
) STRICT;

CREATE TABLE tables (
    hash BLOB PRIMARY KEY,            -- first 8 bytes of SHA-256 of the document
    document BLOB NOT NULL            -- JSON, as published
) STRICT, WITHOUT ROWID;

CREATE TABLE blocks (
    first INTEGER PRIMARY KEY,        -- number of the first frame
    last INTEGER NOT NULL,
    frames INTEGER NOT NULL,          -- last - first + 1
    readings INTEGER NOT NULL,
    t0 INTEGER NOT NULL,              -- earliest and latest gateway time of its frames, µs
    t1 INTEGER NOT NULL,
    codec INTEGER NOT NULL,           -- 0 raw, 1 zlib, 2 zstd
    crc32 INTEGER NOT NULL,           -- of data as stored
    prev BLOB NOT NULL,               -- hash of the block before, 32 bytes
    data BLOB NOT NULL
) STRICT;

PRAGMA user_version = 1;
