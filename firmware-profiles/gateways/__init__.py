"""Boards that a gateway may run on: see ../README.md."""
