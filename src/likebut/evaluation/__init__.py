"""Evaluation: metrics, ranking, the evaluator, benchmarks and submission files."""
