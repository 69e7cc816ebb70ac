"""What the items of a catalogue are like, as one HTML page."""
