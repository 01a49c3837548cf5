"""The sample benchmark of rendered drawings, and the grammar that writes and parses its modification texts."""
