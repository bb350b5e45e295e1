"""What a snapshot holds besides the ledger's figures: one module for each kind of question that a document answers."""
