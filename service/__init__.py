"""loopgauge: how long it takes an engineering organisation to know whether an idea worked."""
