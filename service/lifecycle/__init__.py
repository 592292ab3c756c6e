"""The domain: lifecycle events, evidence, and the experiments that they fold into.

This package is pure: it does no I/O and reads no clock.
"""
