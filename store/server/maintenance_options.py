"""The options of what a server does for itself beside serving, and what of them cannot be."""

from dataclasses import dataclass
from pathlib import Path

from store.errors import ConfigError


@dataclass(frozen=True)
class MaintenanceOptions:
    """The options of what a server does for itself beside serving."""

    child_silence_max_s: float = 600.0
    """Seconds a child that takes a snapshot, rehearses a restore or pushes a backup may say nothing, default 600; then
    it is ended, and tried again later. More is kind to a busy machine, where it runs only when nobody else wants to;
    less frees a hung one sooner."""

    child_time_max_s: float = 86_400.0
    """Seconds such a child may take in all, default 86,400. More lets a first backup over a slow line end; less bounds
    how long one that makes no headway keeps the others waiting."""

    drill_folder: Path | None = None
    """A path to the folder a drill restores into and removes afterwards, default none: the system's temporary folder.
    Outside the data directory, with room for one copy of it; another disk spares this one, the same one is as quick as
    a true restore would be."""

    waiting_max: int = 16
    """Requests of operators that may wait for a child at a time, default 16; past it they are answered 503. More is
    kind to scripts that ask often; less bounds what hangs on one child."""

    def __post_init__(self) -> None:
        """ConfigError names the field that cannot be."""
        for name in ("child_silence_max_s", "child_time_max_s", "waiting_max"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} is more than 0, found {getattr(self, name)}")


def check_drill_folder(options: MaintenanceOptions, data: Path | None) -> None:
    """ConfigError where a drill would restore into the data directory itself."""
    folder = options.drill_folder
    if folder is None or data is None:
        return
    here = data.resolve()
    if folder.resolve() == here or here in folder.resolve().parents:
        raise ConfigError(
            f"drill_folder {folder} lies in the data directory {data}", hint="Name a folder outside of it"
        )
