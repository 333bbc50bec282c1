"""The check of what is set by a name that means nothing. It yields findings and raises nothing."""

from collections.abc import Iterator

from app.doctor.finding import Finding
from app.errors import InvalidRequest
from app.settings import Settings, check_names, unknown_settings


def names(settings: Settings) -> Iterator[Finding]:
    """Name what the environment and ``.env`` say that is no setting; of others there is nothing to say."""
    try:
        check_names()
    except InvalidRequest as error:
        yield Finding("settings", "problem", error.detail)
    for name, meant in unknown_settings():
        remedy = f"set {meant} instead" if meant else f"unset {name}"
        yield Finding("settings", "note", f"{name} is not a setting and is ignored", remedy)
