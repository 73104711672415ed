"""What a release promises to those who call it, compared with what the one before it promised."""
