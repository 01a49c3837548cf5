"""Metrics, pessimistic ranking, the evaluator, the benchmarks and their submission files."""
