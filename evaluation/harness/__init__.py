"""The harness: plays episodes, keeps rows in a run folder, summarises and compares them."""
