"""From a waveform to the mel windows that Wav2Lip listens to, one a video frame."""
