"""The paper's ablations on a data folder: which trainings, doing them once each, what they came to."""
