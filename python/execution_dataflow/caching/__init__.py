"""Results of operations that are kept across runs: ``cache=True`` on an operation, and a `ResultCache` on an engine.

`policy` says what an operation asks for, and `around` is the function that its spec gets instead of its own, which
asks the cache of the run (`run_cache`) and calls the operation only where that has nothing. `keys` says what a result
was computed from, `inquiry` is the search for one, in which `flights` (threads of this process) and `claims` (other
processes) see to it that a missing one is computed once. `result_cache` is the cache itself: what lies in its store,
with `eviction` and `touches`. `remote` does for operations in worker processes, in the parent, what `around` does for
others.
"""
