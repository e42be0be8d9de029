"""Run the New York flights ETL from Python, log what it does, and ask the database that it loads.

    pip install "execution-dataflow[demo]"
    python flights.py

The data is real: the flights that left New York City in 2013, with weather, planes, airports and airlines. The graph is
that of ``execution-dataflow demo``, in `execution_dataflow/demo/flights.py`. What it shows:

- tables that are read, validated and joined side by side, month by month, and loaded all or nothing;
- rows that break a rule, which are set aside with the reason instead of being dropped;
- a branch for each month, of which only those run to the end that the context's parameters ask for;
- what the operations log, and a summary of the run.
"""

import logging
import sqlite3
from contextlib import closing
from pathlib import Path

from execution_dataflow import ExecutionContext, ExecutionEngine
from execution_dataflow.demo.flights import build_graph
from execution_dataflow.demo.tables import data_folder

QUESTION = """
    SELECT origin, airline, count(*) AS flights, round(avg(arr_delay), 1) AS delay
    FROM flights WHERE conditions = 'snow or freezing rain'
    GROUP BY origin, airline ORDER BY flights DESC LIMIT 5
"""


def main() -> None:
    logging.basicConfig(format="%(levelname)s %(message)s", level=logging.INFO)
    context = ExecutionContext(parameters={"database": Path("flights.sqlite"), "months": [1, 2, 12]})
    with ExecutionEngine(max_workers=2) as engine:
        result = engine.run(build_graph(data_folder()), context)
    result.raise_if_failed()
    print(result.summary())

    with closing(sqlite3.connect(result.get_output("load", "database"))) as connection:
        for origin, airline, flights, delay in connection.execute(QUESTION):
            print(f"{origin}  {airline:<28}{flights:>5} flights in snow, {delay:+} minutes late on average")


if __name__ == "__main__":
    main()
