"""What serves studies: sample data, the clothing annotations, the demo, ablations and reports."""
