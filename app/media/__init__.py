"""Probing, decoding, encoding and muxing with PyAV. Frames are I420 planes; no faces, no models here."""
