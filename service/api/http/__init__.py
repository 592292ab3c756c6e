"""HTTP plumbing that every endpoint shares: authentication, bodies, problems, the OpenAPI document."""
