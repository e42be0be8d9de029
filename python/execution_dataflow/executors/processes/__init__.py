"""Worker processes: fresh interpreters that run operations and may die without taking anything else with them.

``wire`` carries messages, ``values`` turns values into bytes, ``definitions`` sends functions and classes once,
``spawn`` starts an interpreter, ``worker`` is what it runs; ``pool`` drives the processes of one engine from one
thread.
"""
