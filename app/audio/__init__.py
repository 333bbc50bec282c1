"""From a waveform to the mel windows that Wav2Lip takes, one per video frame."""
