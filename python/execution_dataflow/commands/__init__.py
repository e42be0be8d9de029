"""The commands of ``execution-dataflow``, one file each, in Typer; `execution_dataflow.commands.app` is all of them.

`targets` finds the graph that ``module:graph`` names, `graph_parameters` what it can be given, `text_values` turns what
was written into values, and `parameter_options` makes options of all that. `streams` and `signals` say how the program
writes and ends. What is not a command's own business stands elsewhere: `terminal` shows runs, `engine` runs graphs.
"""
