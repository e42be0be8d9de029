"""What a user gave to an `ExecutionContext`, checked and unchangeable."""

from __future__ import annotations

import logging
import operator
from collections.abc import Mapping
from typing import Any, NamedTuple, SupportsIndex

from execution_dataflow.clients import checked_factories
from execution_dataflow.run_logging import level_number, run_logger
from execution_dataflow.secrets import Secrets

__all__ = ["RunSettings", "checked_settings"]

_NO_SECRETS = Secrets()


class RunSettings(NamedTuple):
    """The settings of the runs that use one context; each field is what `ExecutionContext` takes by that name.

    Examples
    --------
    >>> RunSettings().new_logger().name
    'execution_dataflow.run'
    """

    run_id: str | None = None
    log_level: int | str | None = None
    seed: int | None = None
    logger: logging.Logger | None = None
    parameters: Mapping[str, Any] = {}
    secrets: Secrets = _NO_SECRETS
    clients: Mapping[str, Any] = {}

    def new_logger(self) -> logging.Logger:
        """Return a logger with this level, that shows none of these secrets.

        Returns
        -------
        logging.Logger
            A logger for one run.
        """
        redact = self.secrets.redact if self.secrets else None
        return run_logger(self.logger, level_number(self.log_level), redact)


def checked_settings(
    *,
    run_id: str | None,
    log_level: int | str | None,
    seed: SupportsIndex | None,
    logger: logging.Logger | None,
    parameters: Mapping[str, Any] | None,
    secrets: Mapping[str, Any] | None,
    clients: Mapping[str, Any] | None,
) -> RunSettings:
    """Return the settings, or raise an error that names the argument that is wrong.

    Parameters
    ----------
    run_id, log_level, seed, logger, parameters, secrets, clients
        As `ExecutionContext` takes them.

    Returns
    -------
    RunSettings
        With copies of the mappings.

    Raises
    ------
    TypeError, ValueError
        When an argument is of the wrong type, or is no valid value.
    """
    if run_id is not None and not isinstance(run_id, str):
        raise TypeError(f"run_id is a str, not {type(run_id).__name__}")
    if run_id == "":
        raise ValueError("run_id is empty; leave it out to have one made")
    level_number(log_level)
    if logger is not None and not isinstance(logger, logging.Logger):
        raise TypeError(f"logger is a logging.Logger, not {type(logger).__name__}")
    return RunSettings(
        run_id=run_id,
        log_level=log_level,
        seed=_checked_seed(seed),
        logger=logger,
        parameters=_checked_parameters(parameters),
        secrets=_checked_secrets(secrets),
        clients=checked_factories(clients),
    )


def _checked_seed(seed: SupportsIndex | None) -> int | None:
    if seed is None:
        return None
    if isinstance(seed, bool):
        raise TypeError("seed is an int, not bool")
    try:
        number = operator.index(seed)  # numpy integers too
    except TypeError:
        raise TypeError(f"seed is an int, not {type(seed).__name__}") from None
    if number < 0:
        raise ValueError(f"seed is {number}; it must not be negative")
    return number


def _checked_secrets(secrets: Mapping[str, Any] | None) -> Secrets:
    if secrets is None:
        return _NO_SECRETS
    return secrets if isinstance(secrets, Secrets) else Secrets(secrets)


def _checked_parameters(parameters: Mapping[str, Any] | None) -> dict[str, Any]:
    if parameters is None:
        return {}
    if not isinstance(parameters, Mapping):
        raise TypeError(f"parameters is a mapping of names to values, not {type(parameters).__name__}")
    for name in parameters:
        if not isinstance(name, str):
            raise TypeError(f"the name of a parameter is a str, not {type(name).__name__}")
    return dict(parameters)
