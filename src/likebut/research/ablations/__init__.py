"""The paper's ablations on a data folder."""
