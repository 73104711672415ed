class Unreadable(Exception):
    """It is no report of this kind; the text says why, and is fit for people."""
