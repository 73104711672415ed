from dataclasses import dataclass
from datetime import timedelta

from django import forms
from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.utils import timezone
from django.views import defaults
from django.views.decorators.http import require_safe

from apps.core import tones
from apps.core.keyset import Page
from apps.core.pages import render_page
from apps.core.refusals import NOT_FOUND, Telling, tell
from apps.core.requests import FOR_PROGRAMS
from apps.core.verdict import ALLOWED, refused

WORDS = {"ok": "Healthy", "run": "In progress", "wait": "Waiting for a person", "warn": "Rolled back", "bad": "Failed",
         "idle": "No signal"}  # fmt: skip


AGES = (("seconds", 4), ("minutes", 26), ("days", 9), ("hours", -3))
BROKEN = Telling(500, "broken", "The portal could not finish this request, and undid what it had begun.")
ICONS = settings.BASE_DIR / "deploy" / "vendor" / "icons.txt"


class SampleForm(forms.Form):
    """One field of each sort that the portal uses."""

    version = forms.CharField(label="Version", help_text="Semantic version, without a leading v.")
    reason = forms.CharField(label="Reason", widget=forms.Textarea(attrs={"rows": 2}), required=False)
    environment = forms.ChoiceField(label="Environment", choices=[("dev", "Dev"), ("qa", "QA"), ("prod", "Production")])
    strategy = forms.ChoiceField(
        label="Strategy",
        choices=[("all", "All at once"), ("two", "Two slots")],
        widget=forms.RadioSelect,
        initial="two",
    )
    wait = forms.BooleanField(
        label="Wait for me before it starts", required=False, help_text="Otherwise it starts by itself."
    )


@dataclass(frozen=True)
class Sample:
    """A message as django.contrib.messages makes them."""

    level_tag: str
    text: str

    def __str__(self) -> str:
        return self.text


@require_safe
def styleguide(request: HttpRequest) -> HttpResponse:
    if not (settings.DEBUG or request.user.is_staff):
        raise Http404
    return render_page(request, "core/styleguide.html", samples())


def samples() -> dict[str, object]:
    now = timezone.now()
    return {
        "tones": [(name, WORDS[name]) for name in tones.TONES if name],
        "outcomes": list(tones.GATES),
        "icons": sorted(ICONS.read_text().split()),
        "moments": [now, now - timedelta(hours=30), now - timedelta(days=400), None],
        "ages": [now - timedelta(**{unit: count}) for unit, count in AGES],
        "lengths": [timedelta(seconds=seconds) for seconds in (0.4, 110, 13_320, 122_400)],
        "started": now - timedelta(minutes=4, seconds=3),
        "rows": [("Type", "Minor, backward compatible"), ("Tag", "v2.14.0"), ("Asked by", "Release engineer")],
        "digest": "sha256:4be1c09f2a7d3b6f5f0d6c1f0f8f4f1f1e0c7a7d4b1c2d3e4f5a6b7c8d9e0f1a",
        "allowed": ALLOWED,
        "refused": refused("own_release", "You asked for this promotion, so somebody else has to approve it."),
        "form": SampleForm(initial={"version": "2.14.0"}),
        "bad_form": SampleForm({"version": "", "environment": "moon", "strategy": "two"}, auto_id="bad_%s"),
        "messages_shown": [
            Sample("success", "Promotion of pypiserver 2.1.1 to QA is asked for."),
            Sample("info", "This release is deployed already; nothing was sent twice."),
            Sample("warning", "The proxy answers slowly. Data may be a minute old."),
            Sample("error", "The artifact's digest differs from what the index says. Nothing was deployed."),
        ],
        "refusal": Telling(409, "stale", "Somebody approved this promotion while the page was open.",
                           next_step="Reload the page to see how it stands now."),
        "both": Page([], "n", "o"),
        "freeze": {"sentence": "Production is frozen until Mon 30 Nov 00:00 UTC: year-end close.", "url": "#freezes"},
    }  # fmt: skip


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """An address that no view has."""
    return tell(request, NOT_FOUND)


def broken(request: HttpRequest) -> HttpResponse:
    """A fault of ours: people get a page that asks nothing of what may be broken, programs a problem document."""
    if request.path.startswith(FOR_PROGRAMS):
        return tell(request, BROKEN)
    return defaults.server_error(request)
