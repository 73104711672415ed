from apps.accounts.models import User


def person_of(email: str) -> User | None:
    """This function will return the person of an address, so that nobody approves what they wrote."""
    if not email or "\x00" in email:
        return None
    return User.objects.filter(email__iexact=email, is_active=True).first()
