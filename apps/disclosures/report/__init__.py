"""The document: a snapshot in, HTML with its drawings out. Nothing here reads the database or the clock."""
