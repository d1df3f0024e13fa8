//! Configuration: one key table; defaults, then `/etc/warpdrive.conf`, then `WARPDRIVE_*`.
