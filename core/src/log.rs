//! Logging to the configured sink; never to the host's standard error.
