"""Making a catalogue out of dumps: read each source, find what is the same, merge it, and keep a store up to date."""
