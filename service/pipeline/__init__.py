"""The road of a delivery, in data order: receive, interpret, project, snapshot."""
