"""Probing, decoding, encoding and muxing through PyAV. Frames are I420 planes; no faces, no models here."""
