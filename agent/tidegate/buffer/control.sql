-- What the buffer knows about itself. Version 2; migrations.py brings older ones to it. Rows that must not be wrong
-- carry a CRC-32 of their fields as text, joined by LF: SQLite itself does not notice a flipped bit.
CREATE TABLE box (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    identity TEXT NOT NULL,           -- hash of this box; another one means a cloned card
    clean INTEGER NOT NULL,           -- 1: shut down with everything committed
    wall_us INTEGER NOT NULL          -- a wall time that has certainly passed (0: none known)
) STRICT;

CREATE TABLE boots (
    boot INTEGER PRIMARY KEY,         -- starts of the gateway with this buffer, from 1
    kernel TEXT NOT NULL,             -- the kernel's id of this start of the machine
    wall_us INTEGER NOT NULL,         -- wall and monotonic time of one moment at the start
    mono_us INTEGER NOT NULL,
    clock INTEGER NOT NULL,           -- 0: the wall time could be believed, 1: not yet
    set_wall_us INTEGER,              -- the same of the first moment when it could; later, when it was synchronised
    set_mono_us INTEGER
) STRICT;

CREATE TABLE epochs (
    ordinal INTEGER PRIMARY KEY,      -- the highest is the current one
    epoch TEXT NOT NULL UNIQUE,
    floor INTEGER NOT NULL,           -- numbers below are gone
    reason TEXT NOT NULL,             -- why it began
    crc32 INTEGER NOT NULL            -- ordinal, epoch, floor
) STRICT;

CREATE TABLE segments (
    epoch TEXT NOT NULL,
    first INTEGER NOT NULL,
    sealed INTEGER NOT NULL,          -- 0: the active one; the columns below hold once it is sealed
    last INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    frames INTEGER NOT NULL,
    readings INTEGER NOT NULL,
    t0 INTEGER NOT NULL,
    t1 INTEGER NOT NULL,
    hash BLOB NOT NULL,               -- of its last block
    PRIMARY KEY (epoch, first)
) STRICT, WITHOUT ROWID;

CREATE TABLE cursors (
    target TEXT NOT NULL,
    epoch TEXT NOT NULL,
    since INTEGER NOT NULL,           -- the first number that the target is owed
    upto INTEGER NOT NULL,            -- everything up to here is acknowledged (or not owed, or gone)
    above TEXT NOT NULL,              -- and these ranges: JSON [[first, last], ...]
    crc32 INTEGER NOT NULL,           -- target, epoch, since, upto, above
    PRIMARY KEY (target, epoch)
) STRICT, WITHOUT ROWID;

CREATE TABLE ledger (
    id INTEGER PRIMARY KEY,           -- 1, 2, 3, ...
    epoch TEXT NOT NULL,              -- whose numbers `frames` are ('' where there are none)
    why TEXT NOT NULL,
    frames TEXT,                      -- JSON [[first, last], ...]; NULL: no number was given
    targets TEXT,                     -- JSON [name, ...]; NULL: all
    device TEXT,                      -- NULL: all
    tags TEXT,                        -- JSON [name, ...]; NULL: all
    t0 INTEGER NOT NULL,
    t1 INTEGER NOT NULL,
    n INTEGER NOT NULL,               -- readings
    n_is TEXT NOT NULL,               -- exact, least, unknown
    carrier_epoch TEXT,               -- where the gap frame is that announced this row; NULL: not announced yet
    carrier INTEGER
) STRICT;

CREATE INDEX ledger_waiting ON ledger (id) WHERE carrier IS NULL;
CREATE INDEX ledger_closing ON ledger (epoch) WHERE frames IS NOT NULL;

CREATE TABLE tables (
    hash BLOB PRIMARY KEY,            -- first 8 bytes of SHA-256 of the document
    document BLOB NOT NULL            -- JSON, as published
) STRICT, WITHOUT ROWID;

CREATE TABLE renewals (               -- since version 2
    epoch TEXT PRIMARY KEY NOT NULL,  -- its numbers first..last were given elsewhere too (a restored image),
    first INTEGER NOT NULL,           -- and are not delivered under this epoch
    last INTEGER NOT NULL,
    moved INTEGER NOT NULL,           -- the frames up to here have new numbers
    into_epoch TEXT NOT NULL,         -- of those that follow some may have theirs in this epoch,
    after INTEGER NOT NULL,           -- above this number
    crc32 INTEGER NOT NULL            -- epoch, first, last, moved, into_epoch, after
) STRICT;

CREATE TABLE unasked (                -- since version 2
    target TEXT PRIMARY KEY NOT NULL, -- its broker has not been asked for a head since numbers of
    epoch TEXT NOT NULL,              -- this epoch
    first INTEGER NOT NULL,           -- from here on were given: a restored image may have given them before
    crc32 INTEGER NOT NULL            -- target, epoch, first
) STRICT;

PRAGMA user_version = 2;
