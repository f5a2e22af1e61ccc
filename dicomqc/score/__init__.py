"""From a claimed instance to a verdict: a disposable decoder, a scorer, and the worker that leases its work from the ledger."""
