"""JSON Schemas of Tidegate JSON, version 1, for subscribers in any language; one file a kind of message."""
