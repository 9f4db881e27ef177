"""Builds the compiled twins; everything else is in pyproject.toml. TIDEGATE_PURE=1 builds none of them."""

import hashlib
import os
from pathlib import Path

from setuptools import Extension, find_packages, setup

ROOTS = ("agent", "drivers")
PROFILES = ["tidegate_profiles", *("tidegate_profiles." + p for p in find_packages("firmware-profiles"))]


def twins() -> list[Extension]:
    """One extension a .pyx, with the hash of its source compiled in (see tidegate/twins.py)."""
    if os.environ.get("TIDEGATE_PURE") == "1":
        return []
    from Cython.Build import cythonize

    made = []
    for root in ROOTS:
        for path in sorted(Path(root).rglob("*.pyx")):
            name = ".".join(path.relative_to(root).with_suffix("").parts)
            digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
            made.append(Extension(name, [str(path)], define_macros=[("TIDEGATE_SOURCE_HASH", f'"{digest}"')]))
    return cythonize(made, language_level=3, build_dir="build/cython")


setup(
    packages=[*find_packages("agent"), *find_packages("drivers"), *PROFILES, "tidegate_example", "tidegate_systemd"],
    package_data={"": ["*.pyx", "py.typed", "*.json", "*.toml", "*.csv", "*.md", "*.sql", "*.service"]},
    ext_modules=twins(),
)
