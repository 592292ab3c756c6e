"""What commands show on a terminal, beyond a line or two."""
