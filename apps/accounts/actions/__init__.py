"""The use cases of a person's account."""

from apps.accounts.actions.accounts import (
    AccountClosed,
    AccountInvalid,
    SignInRefused,
    change_preferences,
    close_account,
    create_account,
    end_session,
    erase_account,
    start_session,
)
from apps.accounts.actions.confirmations import Attempt, confirm
from apps.accounts.actions.factors import (
    FactorInvalid,
    Registered,
    register_app,
    register_passkey,
    remove_factor,
    remove_lost_factors,
    renew_recovery_codes,
)

__all__ = [
    "AccountClosed",
    "AccountInvalid",
    "Attempt",
    "FactorInvalid",
    "Registered",
    "SignInRefused",
    "change_preferences",
    "close_account",
    "confirm",
    "create_account",
    "end_session",
    "erase_account",
    "register_app",
    "register_passkey",
    "remove_factor",
    "remove_lost_factors",
    "renew_recovery_codes",
    "start_session",
]
