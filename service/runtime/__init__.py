"""What runs: background work, the election of a leader, and child processes."""
