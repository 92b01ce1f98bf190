"""Object storage: paths and S3 behind one face; the only boto3."""
