"""The pipeline of a delivery, in data order: receive, drain, interpret, project, snapshot."""
