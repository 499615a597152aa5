"""Judge papers within a budget: triage, chunks, calls, second pass, batches."""
