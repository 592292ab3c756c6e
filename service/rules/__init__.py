"""Rules: they decide what each observation means. They depend on no particular provider, and do no I/O."""
