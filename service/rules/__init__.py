"""Rules: they decide what each observation means. They know no provider, and do no I/O."""
