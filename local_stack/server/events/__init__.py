"""What tasks report while they run: scalars, plots, debug images and console lines."""
