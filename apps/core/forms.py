"""How forms look: every form of the portal is drawn by templates/forms/."""

from django.forms import renderers


class PortalFormRenderer(renderers.TemplatesSetting):
    form_template_name = "forms/form.html"
    field_template_name = "forms/field.html"
