"""Addresses such as ``s3://bucket/prefix?region=eu-west-1``, taken apart."""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

__all__ = ["KINDS", "ObjectAddress"]

KINDS = {"s3": "a bucket of S3", "gs": "a bucket of Google Cloud Storage", "az": "a container of Azure Blob Storage"}
"""What the schemes of addresses stand for."""

# What obstore takes for its HTTP client and not for the cloud.
_CLIENT = {
    "allow_http",
    "allow_invalid_certificates",
    "connect_timeout",
    "http1_only",
    "http2_only",
    "pool_idle_timeout",
    "pool_max_idle_per_host",
    "proxy_ca_certificate",
    "proxy_excludes",
    "proxy_url",
    "read_timeout",
    "root_certificate",
    "timeout",
    "user_agent",
}
_FLAGS = {"allow_http", "allow_invalid_certificates", "http1_only", "http2_only"}
# What may be shown; any other option may be a secret, or lead to one.
_SHOWN = ("endpoint", "region", "account_name")
_SECRETS_OF_ENVIRONMENT = re.compile(r"(?:AWS|AZURE|GOOGLE)_.*(?:KEY|SECRET|TOKEN|SAS|PASSWORD).*|AWS_ACCESS_KEY_ID")
_ENDPOINTS = {
    "s3": ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"),
    "gs": ("GOOGLE_BASE_URL",),
    "az": ("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"),
}


@dataclass(frozen=True)
class ObjectAddress:
    """Where a store in a bucket is, and how to get there.

    Attributes
    ----------
    kind : str
        ``"s3"``, ``"gs"`` or ``"az"``.
    bucket, prefix : str
        The bucket, or container, and what all names in it begin with.
    config, client_options : dict
        What obstore is told; secrets may be among it, so it is in no text that this class makes.
    retry_seconds : float
        For how long a request is repeated that fails for a reason that may pass.

    Examples
    --------
    >>> address = ObjectAddress.parse("s3://lake/etl/runs?region=eu-west-1&access_key_id=A&secret_access_key=B")
    >>> address.bucket, address.prefix
    ('lake', 'etl/runs')
    >>> print(address)
    s3://lake/etl/runs?region=eu-west-1
    """

    kind: str
    bucket: str
    prefix: str = ""
    config: dict[str, str] = field(default_factory=dict, repr=False)
    client_options: dict[str, str | bool] = field(default_factory=dict, repr=False)
    retry_seconds: float = 60.0

    @classmethod
    def parse(cls, address: str) -> ObjectAddress:
        """Take an address apart.

        Parameters
        ----------
        address : str
            ``s3://bucket/prefix``, ``gs://bucket/prefix`` or ``az://container/prefix``. Options follow a question mark:
            those that obstore has for the cloud and for its HTTP client, and ``retry_seconds``.

        Raises
        ------
        ValueError
            It cannot be understood. The message does not repeat the address, since a key may be in it.
        """
        try:
            parts = urlsplit(address)
            options = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
            kind, bucket, stray = parts.scheme, parts.netloc, "@" in parts.netloc or ":" in parts.netloc
        except ValueError:
            raise ValueError("the address of the bucket cannot be read: signs like & and = in it are to be "
                             "percent-encoded") from None  # fmt: skip
        if kind not in KINDS or not bucket or parts.fragment:
            raise ValueError("that is no address of a bucket: it looks like s3://bucket/prefix, gs:// or az://")
        if stray:
            raise ValueError(
                f"after {kind}:// comes the name of {KINDS[kind]} and no user or port: keys are taken from the "
                "environment, or are options such as ?access_key_id=...; ?endpoint=http://host:port names a server"
            )
        client: dict[str, str | bool] = {
            name: _flag(name, options[name]) if name in _FLAGS else options[name] for name in options if name in _CLIENT
        }
        config = {name: value for name, value in options.items() if name not in _CLIENT and name != "retry_seconds"}
        # Whoever names a server without TLS means it.
        if _endpoint(kind, config).startswith("http://"):
            client.setdefault("allow_http", True)
        return cls(
            kind=kind,
            bucket=unquote(bucket),
            prefix=unquote(parts.path).strip("/"),
            config=config,
            client_options=client,
            retry_seconds=_seconds(options.get("retry_seconds", "60")),
        )

    def __str__(self) -> str:
        shown = {name: self.config[name] for name in _SHOWN if name in self.config}
        # A URL may hold a password too.
        shown = {name: re.sub(r"//[^/@]*@", "//", value.partition("?")[0]) for name, value in shown.items()}
        path = f"/{quote(self.prefix)}" if self.prefix else ""
        return f"{self.kind}://{quote(self.bucket)}{path}{'?' if shown else ''}{urlencode(shown, safe=':/')}"

    def secrets(self) -> set[str]:
        """Return what no message may show: options that are not known to be harmless, and keys in the environment."""
        own = {value for name, value in self.config.items() if name not in _SHOWN}
        own |= {str(value) for name, value in self.client_options.items() if name == "proxy_url"}
        own |= {value for name, value in os.environ.items() if _SECRETS_OF_ENVIRONMENT.fullmatch(name)}
        # What is shorter is no secret, and part of many a word.
        return {value for value in own if len(value) >= 6}


def _endpoint(kind: str, config: dict[str, str]) -> str:
    given = config.get("endpoint") or config.get("base_url")
    return given or next(filter(None, (os.environ.get(name) for name in _ENDPOINTS[kind])), "")


def _flag(name: str, text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError(f"{name}= is true or false, not {text!r}")
    return text.lower() == "true"


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise ValueError(f"retry_seconds= is a number of seconds, 0 or more, not {text!r}")
    return seconds
