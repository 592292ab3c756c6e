"""HTTP plumbing that endpoints share, and that knows no endpoint."""
