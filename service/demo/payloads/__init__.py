"""What the organisation's tools post, in the shapes of their providers: one file each."""
