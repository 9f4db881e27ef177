"""The unit for systemd, as a package, so that it is in the wheel."""
