"""The runtime: background work, leader election, child processes, and the shutdown."""
