"""Run the New York flights ETL from Python, log what it does, and ask the database that it loads.

    pip install "execution-dataflow[demo]"
    python flights.py
    python flights.py --resume

The data is real: the flights that left New York City in 2013, with weather, planes, airports and airlines. The graph is
that of ``execution-dataflow demo``, in `execution_dataflow/demo/flights.py`. What it shows:

- tables that are read, validated and joined side by side, month by month, and loaded all or nothing;
- rows that break a rule, which are set aside with the reason instead of being dropped;
- a branch for each month, of which only those run to the end that the context's parameters ask for;
- what the operations log, and a summary of the run;
- with ``--resume`` a run that goes on where it was when it was killed: start it, kill it, start it again.
"""

import logging
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

from execution_dataflow import ExecutionContext, ExecutionEngine, open_store
from execution_dataflow.demo.flights import build_graph
from execution_dataflow.demo.tables import data_folder
from execution_dataflow.store_care import prune_runs

QUESTION = """
    SELECT origin, airline, count(*) AS flights, round(avg(arr_delay), 1) AS delay
    FROM flights WHERE conditions = 'snow or freezing rain'
    GROUP BY origin, airline ORDER BY flights DESC LIMIT 5
"""


def main() -> None:
    logging.basicConfig(format="%(levelname)s %(message)s", level=logging.INFO)
    parameters = {"database": Path("flights.sqlite"), "months": [1, 2, 12]}
    resumes = "--resume" in sys.argv
    # What a run of this name has done before, and what has not changed since, is taken from the checkpoint.
    context = ExecutionContext(run_id="flights" if resumes else None, parameters=parameters)
    checkpoint = "sqlite:///flights.runs.db" if resumes else None
    with ExecutionEngine(max_workers=2, checkpoint=checkpoint) as engine:
        result = engine.run(build_graph(data_folder()), context)
    result.raise_if_failed()
    print(result.summary())
    if checkpoint is not None:
        print(result.explain_resume())
        with open_store(checkpoint) as store:
            # The database is what was wanted: what led to it is not needed any more.
            prune_runs(store, keep=0)

    with closing(sqlite3.connect(result.get_output("load", "database"))) as connection:
        for origin, airline, flights, delay in connection.execute(QUESTION):
            print(f"{origin}  {airline:<28}{flights:>5} flights in snow, {delay:+} minutes late on average")


if __name__ == "__main__":
    main()
