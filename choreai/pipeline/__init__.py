"""The three jobs: extract, train and tag, importable and testable."""
