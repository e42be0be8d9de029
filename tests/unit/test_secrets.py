"""Secrets: usable by operations, and never in a repr, a log or an error."""

from __future__ import annotations

import copy
import json
import logging
import pickle
from urllib.parse import quote

import pytest

from execution_dataflow import ExecutionContext, ExecutionEngine, GraphDefinition, RetryPolicy, operation
from execution_dataflow.secrets import Secret, Secrets

PASSWORD = "p4ss/w0rd é"


def test_a_secret_shows_as_stars_until_it_is_revealed() -> None:
    secret = Secret("hunter2")
    assert (repr(secret), str(secret), f"{secret}", f"{secret:>5}", "%s" % secret) == (  # noqa: UP031
        "Secret('***')",
        "***",
        "***",
        "  ***",
        "***",
    )
    assert secret.reveal() == "hunter2"


def test_a_secret_cannot_be_changed() -> None:
    with pytest.raises(AttributeError, match="cannot be changed"):
        Secret("a")._value = "b"


def test_a_secret_survives_pickling_and_copying() -> None:
    assert pickle.loads(pickle.dumps(Secret("hunter2"))).reveal() == "hunter2"
    assert copy.deepcopy(Secret(["hunter2"])).reveal() == ["hunter2"]


@pytest.mark.parametrize(
    "text",
    [
        PASSWORD,
        repr(PASSWORD),
        json.dumps(PASSWORD),
        json.dumps(PASSWORD, ensure_ascii=False),
        quote(PASSWORD, safe=""),
    ],
    ids=["plain", "repr", "json", "json-unicode", "url"],
)
def test_redaction_finds_the_spellings_in_which_a_secret_turns_up(text: str) -> None:
    redacted = Secrets({"password": PASSWORD}).redact(f"before {text} after")
    assert "***" in redacted
    assert "w0rd" not in redacted
    assert redacted.startswith("before ")
    assert redacted.endswith(" after")


def test_redaction_finds_bytes_and_nested_values() -> None:
    secrets = Secrets({"key": b"\x00binary", "login": {"user": "ada", "passwords": ["one1", "two2"]}, "pin": 482913})
    text = f"{b'a' + bytes(1) + b'binary'!r} ada one1 two2 482913"
    redacted = secrets.redact(text)
    for shown in ("binary", "ada", "one1", "two2", "482913"):
        assert shown not in redacted


def test_redaction_of_overlapping_secrets_leaves_no_tail() -> None:
    assert Secrets({"a": "abc", "b": "abcdef"}).redact("abcdef") == "***"


def test_text_without_a_secret_is_the_same_object() -> None:
    text = "nothing here"
    assert Secrets({"a": "hunter2"}).redact(text) is text
    assert Secrets().redact(text) is text


@pytest.mark.parametrize("value", ["", "   ", None, True, 7])
def test_values_that_cannot_be_told_from_other_text_are_not_redacted(value: object) -> None:
    text = "7 of 10 rows are True or None, see below"
    assert Secrets({"odd": value}).redact(text) == text


def test_secrets_are_a_read_only_mapping() -> None:
    secrets = Secrets({"token": "hunter2"})
    assert (list(secrets), len(secrets), "token" in secrets, "other" in secrets) == (["token"], 1, True, False)
    assert repr(secrets) == "Secrets('token')"
    with pytest.raises(TypeError):
        secrets["token"] = "x"  # type: ignore[index]
    with pytest.raises(KeyError, match="no secret 'tokne'"):
        secrets["tokne"]


def test_repr_of_a_context_shows_no_secret() -> None:
    context = ExecutionContext(parameters={"url": "ada:hunter2@host"}, secrets={"password": "hunter2"})
    assert "hunter2" not in repr(context)
    assert "password" in repr(context)


@operation
def log_in(context: ExecutionContext) -> str:
    password = context.secrets["password"].reveal()
    context.logger.warning("logging in with %s", password, extra={"dsn": f"ada:{password}"})
    try:
        raise ConnectionError(f"refused ada:{password}")
    except ConnectionError:
        context.logger.exception("no connection")
    raise ValueError(f"cannot log in as ada:{password}")


def failing_run() -> object:
    graph = GraphDefinition("login")
    graph.add(log_in)
    return ExecutionEngine().run(graph, ExecutionContext(secrets={"password": "hunter2"}))


def test_an_error_that_quotes_a_secret_is_shown_without_it() -> None:
    result = failing_run()
    texts = [
        result.get_error_message(),
        result.summary(),
        repr(result),
        result._repr_html_(),
        result.first_error.describe(),
        result.first_error.message,
        result.first_error.traceback_text,
        repr(result.first_error),
    ]
    for text in texts:
        assert "hunter2" not in text
        assert "cannot log in as ada:***" in text


def test_the_exception_itself_is_left_as_it_was_raised() -> None:
    assert str(failing_run().first_error.exception) == "cannot log in as ada:hunter2"


def test_a_log_that_quotes_a_secret_is_written_without_it(caplog: pytest.LogCaptureFixture) -> None:
    failing_run()
    assert "logging in with ***" in caplog.text
    assert "ConnectionError: refused ada:***" in caplog.text
    assert "hunter2" not in caplog.text
    assert not any("hunter2" in str(vars(record)) for record in caplog.records)


def test_texts_of_superseded_attempts_hold_no_secret() -> None:
    @operation(retry_policy=RetryPolicy(max_attempts=2))
    def flaky(context: ExecutionContext) -> None:
        raise OSError(f"refused {context.secrets['password'].reveal()}")

    graph = GraphDefinition()
    graph.add(flaky)
    result = ExecutionEngine().run(graph, ExecutionContext(secrets={"password": "hunter2"}))
    assert list(result.first_error.earlier) == ["OSError: refused ***"]


def test_a_badly_formatted_log_message_holds_no_secret(caplog: pytest.LogCaptureFixture) -> None:
    context = ExecutionContext(secrets={"password": "hunter2"})
    context.logger.warning("%d rows", "hunter2")
    assert "hunter2" not in caplog.text
    assert logging.getLogger("execution_dataflow.run").filters == []


@pytest.mark.parametrize(
    ("secrets", "message"), [("abc", "secrets is a mapping"), ({1: "a"}, "name of a secret is a str")]
)
def test_bad_secrets_are_refused(secrets: object, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        ExecutionContext(secrets=secrets)  # type: ignore[arg-type]
