"""Rules: they decide what each observation means. The modules of this package import no provider, and do no I/O."""
