"""Profiles: what lies in firmware-profiles/ of devices: told apart by firmware, found on a wire, tried by vectors."""
