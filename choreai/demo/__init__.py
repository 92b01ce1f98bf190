"""Generated dancers, so that the demo has videos without shipping any."""
