from django.urls import path

from apps.api import views

app_name = "metrics"

urlpatterns = [
    path("metrics", views.metrics, name="metrics"),
]
