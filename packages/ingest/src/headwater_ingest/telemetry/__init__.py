"""What the service says about itself: metrics, readiness and log lines."""
