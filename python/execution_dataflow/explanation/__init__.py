"""What is known of a plan before it runs: its shape, its cost, where it runs; worked out when asked for."""
