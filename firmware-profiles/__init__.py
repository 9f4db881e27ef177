"""Profiles of devices and boards, as data: see README.md. Nothing here is code."""
