"""HTTP code that endpoints share. It does not depend on any endpoint."""
