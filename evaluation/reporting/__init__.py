"""Reports and figures from summaries."""
