"""The settings of a command."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from repartee.errors import ConfigError
from repartee.settings import Settings


def read_settings(**given: Any) -> Settings:
    """Return the settings of the environment with what the command line gives over them.

    Raises:
        ConfigError: A variable has a wrong value.
    """
    try:
        return Settings().model_copy(
            update={name: value for name, value in given.items() if value is not None}
        )
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(
            f"the environment variable {str(first['loc'][0]).upper()} is wrong: {first['msg']}"
        ) from error
