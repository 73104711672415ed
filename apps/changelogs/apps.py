from django.apps import AppConfig


class ChangelogsConfig(AppConfig):
    name = "apps.changelogs"
    label = "changelogs"
