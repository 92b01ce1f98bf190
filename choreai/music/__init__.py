"""What is heard: beats, tempo, key, loudness and the fingerprints of songs. Arrays in, arrays out."""
