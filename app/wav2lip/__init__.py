"""The Wav2Lip network, its checkpoints, the engines that run it, and its export to ONNX."""
