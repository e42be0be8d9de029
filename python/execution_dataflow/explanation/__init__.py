"""What is known of a plan before it runs: its shape, its cost, where it runs. All of it is worked out when asked for."""
