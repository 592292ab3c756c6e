"""Rules: they decide what each observation means. This package is provider-neutral and pure."""
