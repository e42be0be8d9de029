"""What a graph becomes while it runs: branches that are taken or not, loops, and operations that return graphs."""
