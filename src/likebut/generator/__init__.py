"""MTST, the generator of modification texts: model, losses, decoding, public class."""
