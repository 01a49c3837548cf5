"""MTST, which writes modification texts for pairs of images: model, losses, decoding, public class."""
