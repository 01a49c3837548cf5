"""Pretrained parts: query encoder, vision encoders, language models, presets, pulling and conversion."""
