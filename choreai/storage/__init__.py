"""Object storage: one interface for file systems and S3; the only place that knows boto3."""
