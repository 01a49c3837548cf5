"""The sample benchmark of rendered drawings, and the grammar its texts are written and parsed with."""
