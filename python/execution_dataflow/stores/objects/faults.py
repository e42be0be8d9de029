"""What obstore raises, as errors of a store: short, without keys, and with what to do."""

from __future__ import annotations

import re

from execution_dataflow.store_errors import StoreError
from execution_dataflow.stores.objects.addresses import KINDS, ObjectAddress

__all__ = ["explained", "is_about_the_bucket"]

_NO_BUCKET = ("NoSuchBucket", "ContainerNotFound", "The specified bucket does not exist")
_CREDENTIALS = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the options access_key_id= and secret_access_key=",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS, or the option service_account=",
    "az": "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY, or the options account_name= and account_key=",
}
# Where clouds hand out the rights of their machines: it is asked when no keys are given.
_OF_THE_MACHINE = ("169.254.169.254", "metadata.google.internal")


def explained(error: BaseException, address: ObjectAddress, doing: str, seconds: float) -> StoreError:
    """Return the error of a store, with its cause: the library's error unless a key is in that one's text.

    Parameters
    ----------
    error : BaseException
        What obstore raised.
    address : ObjectAddress
        The bucket.
    doing : str
        What was asked, such as ``"write 'a/b'"``.
    seconds : float
        For how long it was asked again where that makes sense.
    """
    text = str(error)
    fault = StoreError(f"{address}: cannot {doing}: {_summary(text, address)}{_hint(error, text, address, seconds)}")
    shows_a_key = any(secret in text for secret in address.secrets())
    fault.__cause__ = None if shows_a_key else error
    return fault


def is_about_the_bucket(error: BaseException) -> bool:
    """Whether something was not found since the whole bucket does not exist."""
    return any(sign in str(error) for sign in _NO_BUCKET)


def _summary(text: str, address: ObjectAddress) -> str:
    """What a server has answered, or the first line of what the library says."""
    code, message = (re.search(f"<{tag}>([^<]*)</{tag}>", text) for tag in ("Code", "Message"))
    status = re.search(r"status code: (\d{3}[A-Za-z ]*)", text)
    if code:
        said = f"{code[1]}: {message[1]}" if message else code[1]
        summary = f"{said} ({status[1].strip()})" if status else said
    else:
        summary = text.partition("\n")[0].strip()
    for secret in sorted(address.secrets(), key=len, reverse=True):
        summary = summary.replace(secret, "***")
    return re.sub(r"(?i)\b(sig|signature|x-amz-[a-z-]+)=[^&\s]+", r"\1=***", summary)


def _hint(error: BaseException, text: str, address: ObjectAddress, seconds: float) -> str:
    if is_about_the_bucket(error):
        return f"; create {KINDS[address.kind]} named {address.bucket!r} first, or correct the address"
    if any(place in text for place in _OF_THE_MACHINE):
        return f"; no keys were found, nor has this machine rights of its own: set {_CREDENTIALS[address.kind]}"
    kind = type(error).__name__
    if kind in ("PermissionDeniedError", "UnauthenticatedError") or isinstance(error, PermissionError):
        return f"; the keys come from {_CREDENTIALS[address.kind]}"
    if "after" in text and "retries" in text:
        return f"; asked again for {seconds:g} s (retry_seconds= in the address sets how long)"
    return ""
