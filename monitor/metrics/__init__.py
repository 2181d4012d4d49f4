"""`GET /metrics`: what an operator watches, in Prometheus' text format or OpenMetrics."""
