"""The runtime: background work, the election of a leader, child processes, and the shutdown."""
