"""PTHA and its baselines, losses, dual encoders, public class."""
