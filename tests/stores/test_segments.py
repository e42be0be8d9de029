"""Rows of many commits: what goes in comes out, the last of a key counts, and what is damaged is not returned."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from stores.stored_runs import begin, filled, keys_of, made_commits, overwrite

from execution_dataflow.stores.journal import Commit
from execution_dataflow.stores.sql.opening import open_journal
from execution_dataflow.stores.sql.segments import MOST_COMMITS, commits_of, keys_in, segments_of, whole_commits

ANY_COMMIT = st.builds(
    Commit,
    st.text(max_size=20),
    st.binary(max_size=48),
    st.integers(0, 2**40),
    st.floats(allow_nan=False),
    st.floats(allow_nan=False),
    st.one_of(st.binary(max_size=30), st.just(b"x" * 5000)),
    st.lists(st.text("abc/.-", min_size=1, max_size=9), max_size=3).map(tuple),
)


def numbered(rows: list[tuple[int, int, str, str, bytes, int]]) -> list[tuple[object, ...]]:
    return [(number, *row) for number, row in enumerate(rows, 1)]


@given(st.lists(ANY_COMMIT, max_size=200))
def test_what_goes_in_comes_out(commits: list[Commit]) -> None:
    rows = numbered(segments_of(7, commits))
    assert [commit for row in rows for commit in commits_of(row) or ()] == commits
    assert [key for row in rows for key in keys_in(row[3])] == [commit.key for commit in commits]
    assert all(0 < row[2] <= MOST_COMMITS for row in rows)
    found, damaged = whole_commits(rows[::-1], set())
    assert {commit.key: commit for commit in found} == {commit.key: commit for commit in commits}
    assert len(found) == len({commit.key for commit in commits})
    assert damaged == []


@given(st.lists(ANY_COMMIT, min_size=1, max_size=5), st.data())
def test_changed_bit_is_noticed_wherever_it_is(commits: list[Commit], data: st.DataObject) -> None:
    row = numbered(segments_of(7, commits))[0]
    column = data.draw(st.sampled_from([1, 2, 3, 4, 5, 6]))
    there = row[column]
    if isinstance(there, int):
        changed: object = there ^ 1 << data.draw(st.integers(0, 31))
    else:
        raw = bytearray(there.encode() if isinstance(there, str) else there)  # type: ignore[arg-type]
        if not raw:
            return
        raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
        changed = raw.decode(errors="replace") if isinstance(there, str) else bytes(raw)
    assert commits_of((*row[:column], changed, *row[column + 1 :])) is None
    assert commits_of((*row[:column], None, *row[column + 1 :])) is None


def test_rows_that_were_replaced_do_not_pile_up(tmp_path: Path) -> None:
    journal = open_journal(f"sqlite:///{tmp_path / 'runs.db'}")
    for number in range(10):
        lease = begin(journal)
        journal.append(lease, 1, [commit._replace(attempt=number) for commit in made_commits(200)])
        summary = journal.find_run("run")
        assert summary is not None
        assert summary.commits == 200
        journal.release(lease, "SUCCEEDED")
    assert {commit.attempt for commit in journal.commits("run")} == {9}
    journal.close()
    with sqlite3.connect(tmp_path / "runs.db") as connection:
        ((commits,),) = connection.execute("SELECT sum(commit_count) FROM segments")
    connection.close()
    assert commits == 200


def test_damaged_row_does_not_let_what_it_replaced_count_again(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    journal = open_journal(f"sqlite:///{path}")
    lease = begin(journal)
    journal.append(lease, 1, made_commits(1))
    journal.append(lease, 2, [made_commits(1)[0]._replace(outputs=filled(99, 100))])
    journal.close()
    overwrite(path, path.read_bytes().index(filled(99, 100)) + 5, b"!")
    journal = open_journal(f"sqlite:///{path}")
    assert keys_of(journal) == set()
    journal.close()
