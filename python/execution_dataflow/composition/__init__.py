"""Graphs that are made of graphs: parameters, nesting, and the parts of a graph that one run needs."""
