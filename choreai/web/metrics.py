"""The web application's own metrics, which Prometheus reads at /metrics."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

REGISTRY = CollectorRegistry()

VIEWERS = Gauge("choreai_web_viewers", "Live viewers connected now.", registry=REGISTRY)
PICTURES = Counter("choreai_web_pictures", "Live pictures processed.", registry=REGISTRY)
LIVE_SECONDS = Histogram(
    "choreai_web_picture_seconds",
    "Seconds from starting on a live picture to sending its skeleton.",
    buckets=(0.02, 0.04, 0.06, 0.08, 0.1, 0.15, 0.2, 0.3, 0.5, 1, 2),
    registry=REGISTRY,
)
REQUESTS = Counter("choreai_web_requests", "HTTP requests by status.", ["status"], registry=REGISTRY)
UPLOADS = Counter("choreai_web_uploads", "Uploads by outcome.", ["outcome"], registry=REGISTRY)
