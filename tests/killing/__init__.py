"""Runs that are killed, and what has to be true of them afterwards: the harness of ``tests/durability``.

`graphs` has the graphs, `child` runs one in a process of its own, `nursery` starts such processes quickly, `moments`
says when one dies, and `trial` kills a run again and again until it ends, and judges what became of it.
"""
