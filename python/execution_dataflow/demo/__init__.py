"""The example that ``execution-dataflow demo`` runs: an ETL over the New York flights of 2013.

`execution_dataflow.demo.flights` is the page to read and to copy: the operations and the graph. Beside it, `tables`
says what the data must look like and `database` writes SQLite; `show` runs it in a terminal, with `findings`
and `timeline`. All of it needs the extra `demo`: ``pip install "execution-dataflow[demo]"``.
"""
