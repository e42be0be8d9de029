"""A run whose database server is killed goes on by itself, and one that dies with it is resumed: nothing is lost."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from command_lines import HOME
from killing.nursery import Nursery, Process
from killing.trial import Trial, Undisturbed, children_of, is_there, kill, undisturbed
from patience import eventually
from services import PostgresServer

pytestmark = [
    pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="the server's processes are found in /proc"),
    pytest.mark.timeout(0),
]


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    with Nursery(str(HOME)) as made:
        yield made


@pytest.fixture(scope="module")
def expected(
    running_postgres: PostgresServer, nursery: Nursery, tmp_path_factory: pytest.TempPathFactory
) -> Undisturbed:
    # The first pays for what a machine does once. State outlives runs, so each has a schema of its own.
    for schema in ("undisturbed_first", "undisturbed_second"):
        folder, address = tmp_path_factory.mktemp("undisturbed"), running_postgres.address(schema)
        found = undisturbed(nursery, folder, "mixed", address, warm_up=False)
    return found


def crash(server: PostgresServer) -> None:
    """Kill all processes of a server, as a loss of power does."""
    assert server.process is not None
    for pid in [server.process.pid, *children_of(server.process.pid)]:
        kill(pid)
    server.stop(signal.SIGKILL)


def kill_a_connection(server: PostgresServer, chance: random.Random) -> None:
    """Kill the process of one connection: the server ends all others too, and recovers."""
    assert server.process is not None
    connections = [pid for pid in children_of(server.process.pid) if server.user.encode() in title_of(pid)]
    if connections:
        kill(chance.choice(connections))


def crash_and_start(server: PostgresServer, chance: random.Random) -> None:
    crash(server)
    time.sleep(chance.uniform(0.0, 0.3))
    server.start()


def title_of(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


@pytest.mark.soak
@pytest.mark.parametrize("act", [kill_a_connection, crash_and_start])
def test_a_run_goes_on_when_its_server_is_there_again(
    act: Callable[[PostgresServer, random.Random], None],
    postgres: PostgresServer,
    nursery: Nursery,
    expected: Undisturbed,
    tmp_path: Path,
    soak_scale: int,
) -> None:
    chance = random.Random(f"{act.__name__} {soak_scale}")
    hits = number = 0
    # A moment before the run or after its end counts for nothing.
    while hits < soak_scale and number < 10 * soak_scale:
        number += 1
        address = postgres.address(f"{act.__name__}_{number}")
        trial = Trial(nursery, tmp_path / str(number), "mixed", chance, address, chance.choice(["batched", "each"]))

        def meanwhile(process: Process) -> None:
            nonlocal hits
            time.sleep(chance.uniform(0.2, 0.9) * expected.seconds)
            hits += is_there(process.pid)
            act(postgres, chance)

        report = trial.run_to_its_end(meanwhile)
        assert eventually(postgres._answers)
        trial.judge_the_end(report, expected)
    assert hits == soak_scale


@pytest.mark.soak
def test_a_run_that_dies_with_its_server_is_resumed(
    postgres: PostgresServer, nursery: Nursery, expected: Undisturbed, tmp_path: Path, soak_scale: int
) -> None:
    chance = random.Random(f"both {soak_scale}")
    for number in range(soak_scale):
        trial = Trial(nursery, tmp_path / str(number), "mixed", chance, postgres.address(f"both_{number}"))
        task = trial.task()
        process = nursery.start(task)
        time.sleep(chance.uniform(0.2, 0.9) * expected.seconds)
        crash(postgres)
        kill(process.pid)
        process.wait()
        postgres.start()
        trial.judge()
        trial.judge_the_end(trial.run_to_its_end(), expected)
