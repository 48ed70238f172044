"""Where training ends, beside the volumes of the same points."""
