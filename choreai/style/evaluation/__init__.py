"""How good a style model is: metrics, calibration, baselines, the report page."""
