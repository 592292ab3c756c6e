"""The domain: lifecycle events, evidence, and the experiments that they fold into. Pure: no I/O, and no clock."""
