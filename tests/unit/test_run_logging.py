"""The logger of a run: standard logging with the run and the operation, and a level that is this run's alone."""

from __future__ import annotations

import logging

import pytest

from execution_dataflow import ExecutionContext, ExecutionEngine, GraphDefinition, operation


def chat(context: ExecutionContext | None = None) -> None:
    graph = GraphDefinition()
    graph.add(chatter)
    ExecutionEngine().run(graph, context).raise_if_failed()


@operation
def chatter(context: ExecutionContext) -> None:
    context.logger.debug("quiet")
    context.logger.info("news of %s", "today", extra={"rows": 3})


def test_log_records_carry_run_and_operation(caplog: pytest.LogCaptureFixture) -> None:
    chat(ExecutionContext("nightly", "INFO"))
    [record] = [record for record in caplog.records if record.name == "execution_dataflow.run"]
    assert (record.run_id, record.operation, record.rows) == ("nightly", "chatter", 3)
    assert record.getMessage() == "news of today"
    assert record.filename == "test_run_logging.py"


def test_log_level_filters_this_run_only(caplog: pytest.LogCaptureFixture) -> None:
    before = logging.getLogger("execution_dataflow.run").level, logging.getLogger().level
    chat(ExecutionContext(log_level="WARNING"))
    assert caplog.messages == []
    chat(ExecutionContext(log_level="debug"))
    assert caplog.messages == ["quiet", "news of today"]
    assert (logging.getLogger("execution_dataflow.run").level, logging.getLogger().level) == before


def test_without_a_log_level_global_logging_decides(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        chat()
    with caplog.at_level(logging.ERROR):
        chat()
    assert caplog.messages == ["news of today"]


def test_logging_that_is_switched_off_stays_off(caplog: pytest.LogCaptureFixture) -> None:
    logging.disable(logging.CRITICAL)
    try:
        chat(ExecutionContext(log_level="DEBUG"))
    finally:
        logging.disable(logging.NOTSET)
    assert caplog.messages == []


@pytest.mark.parametrize("level", [None, "DEBUG"])
def test_a_logger_of_the_users_own_is_written_to(level: str | None, caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("my.app")
    refused = logging.Filter("nothing")
    with caplog.at_level(logging.DEBUG, logger="my.app"):
        chat(ExecutionContext(log_level=level, logger=logger))
        logger.addFilter(refused)
        try:
            chat(ExecutionContext(log_level=level, logger=logger))
        finally:
            logger.removeFilter(refused)
    assert [(record.name, record.getMessage()) for record in caplog.records] == [
        ("my.app", "quiet"),
        ("my.app", "news of today"),
    ]


def test_the_logger_works_outside_of_a_run(caplog: pytest.LogCaptureFixture) -> None:
    ExecutionContext("nightly", "INFO").logger.info("ready")
    [record] = caplog.records
    assert (record.run_id, record.operation, record.getMessage()) == ("nightly", None, "ready")
