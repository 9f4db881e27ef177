"""Loads a configuration: one TOML file, device lists and tag tables, into what the stages are made of.

All problems of all files are found before any is told. It opens no device and no broker.
"""

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

from tidegate.acquire import registry
from tidegate.acquire.driver import Driver
from tidegate.acquire.losses import TELL_S_MAX
from tidegate.buffer.settings import SEGMENTS_IN_QUOTA_MIN, BufferSettings
from tidegate.clock import Source
from tidegate.config import toml
from tidegate.config.ask import ask_drivers, with_paths
from tidegate.config.devices import DeviceReader, Placed, groups
from tidegate.config.document import POLICIES_S, POLICY_READINGS, BufferSection
from tidegate.config.files import Files
from tidegate.config.loaded import Config
from tidegate.config.overload import warn_overload
from tidegate.config.placeholders import Placeholders
from tidegate.config.problems import Problems
from tidegate.config.quantities import Unfit
from tidegate.config.tables import Tables, recognisable
from tidegate.config.targets import read_targets
from tidegate.errors import ConfigError


def load(
    path: Path,
    env: Mapping[str, str],
    drivers: Mapping[str, type[Driver]] | None = None,
) -> Config:
    """The configuration of a TOML file; `drivers` by name, the installed ones unless given.

    Raises ConfigError with every problem found, warnings last.
    """
    problems = Problems()
    files = Files(path.parent)
    placeholders = Placeholders(env, path.parent)
    source = _source(path, files, placeholders, problems)
    if source is None:
        raise _refused(problems)
    buffer = _buffer(source, path.parent, problems)
    targets = read_targets(source, path.parent, problems)
    tables = Tables(source, files, groups(source.document.groups), problems)
    tables.read_all()
    placed = DeviceReader(source, files, tables, placeholders, problems).read()
    known = drivers if drivers is not None else registry.drivers()
    placed = with_paths(placed, known, path.parent)
    ask_drivers(placed, known, registry.broken() if drivers is None else (), problems)
    _warn_unused(source, tables, placed, known, problems)
    if problems.faults:
        raise _refused(problems)
    warn_overload(placed, known, problems)
    return Config(
        gateway=source.document.gateway.name,
        state=buffer.folder,
        buffer=_delayed(buffer, placed),
        clock=Source(source.document.clock.source),
        targets=targets,
        devices=tuple(one.device for one in placed),
        warnings=problems.warnings,
        fingerprint=files.fingerprint(),
        profiles=recognisable() if any(one.device.profile for one in placed) else (),
    )


def _delayed(buffer: BufferSettings, placed: Collection[Placed]) -> BufferSettings:
    """A reading is as late as its group's deadline allows, and a loss that lasts is told so late."""
    deadlines_s = [group.deadline_s for one in placed for group in one.device.groups]
    longest_s = max([buffer.reading_delay_s_max, *deadlines_s])
    return replace(buffer, reading_delay_s_max=longest_s, telling_delay_s_max=TELL_S_MAX)


def _refused(problems: Problems) -> ConfigError:
    return ConfigError(problems.faults + problems.warnings)


def _source(path: Path, files: Files, placeholders: Placeholders, problems: Problems) -> toml.Toml | None:
    try:
        data = files.read(path.name)
    except Unfit as unfit:
        problems.fault(str(path), "", unfit.what.removeprefix(f"{path} "), unfit.remedy)
        return None
    return toml.read(data, str(path), placeholders, problems)


def _buffer(source: toml.Toml, folder: Path, problems: Problems) -> BufferSettings:
    section = source.document.buffer
    state = folder / source.document.gateway.state
    try:
        if state.exists() and not state.is_dir():
            remedy = "Name a folder; it is made at start"
            source.fault(problems, ("gateway", "state"), f"{state} is not a folder", remedy)
    except OSError as error:
        # No fault: it may be there for the gateway's own user only, and this is another one.
        what = f"{state} can't be looked at: {error.strerror}"
        source.warn(problems, ("gateway", "state"), what, "See that the gateway's user may write there")
    _warn_policy(source, section, problems)
    usual = BufferSettings(folder=state)
    quota_bytes, segment_bytes = section.quota or usual.quota_bytes, section.segment or usual.segment_bytes
    if quota_bytes < SEGMENTS_IN_QUOTA_MIN * segment_bytes:
        at = ("buffer", "quota" if section.quota else "segment")
        what = f"the quota holds fewer than {SEGMENTS_IN_QUOTA_MIN} segments of {segment_bytes:,} bytes"
        source.fault(problems, at, what, "Raise quota, or lower segment")
        return usual
    readings = None if section.commit_interval else POLICY_READINGS.get(section.policy)
    return BufferSettings(
        folder=state,
        commit_interval_s=section.commit_interval or POLICIES_S[section.policy],
        commit_readings=section.commit_readings or readings or usual.commit_readings,
        quota_bytes=quota_bytes,
        segment_bytes=segment_bytes,
        keep_s=section.keep or usual.keep_s,
        free_bytes_min=section.free or usual.free_bytes_min,
        segment_age_s=section.segment_age or usual.segment_age_s,
    )


def _warn_policy(source: toml.Toml, section: BufferSection, problems: Problems) -> None:
    if "policy" in section.model_fields_set and section.commit_interval is not None:
        what = "commit_interval says how often to commit, so that policy means nothing"
        source.warn(problems, ("buffer", "policy"), what, "Remove one of the two")


def _warn_unused(
    source: toml.Toml, tables: Tables, placed: list[Placed], drivers: Collection[str], problems: Problems
) -> None:
    if problems.faults:
        return  # What is not used may be meant by what is wrong.
    document = source.document
    used_groups = {group.name for one in placed for group in one.device.groups}
    for name in document.groups.keys() - used_groups:
        source.warn(problems, ("groups", name), "no tag is in this group", "Name it in a tag table's column `group`")
    for name in tables.unused():
        source.warn(problems, ("tables", name), "no device has this table", "Name it in the device list, or remove it")
    used_drivers = {one.device.driver for one in placed}
    for name in document.drivers.keys() - used_drivers:
        hint = "Use it, or remove the section" if name in drivers else f"Known drivers: {', '.join(sorted(drivers))}"
        source.warn(problems, ("drivers", name), "no device uses this driver", hint)
