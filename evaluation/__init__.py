"""The evaluation harness: play, record, measure, report."""
