"""The domain: lifecycle events, evidence and the experiment that they fold into. Pure."""
