"""Many paid requests: bounded concurrency, one gate for rate and money, a journal that survives a kill."""
