"""The embedded platform: real processes, watched, restarted, and stopped without a rest."""
