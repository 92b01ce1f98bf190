"""Fitting style models: folds, augmentation, Ray Train, sweeps."""
