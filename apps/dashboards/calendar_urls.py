from django.urls import path

from apps.dashboards.views import calendar

app_name = "calendar"

urlpatterns = [
    path("", calendar.calendar, name="calendar"),
    path("feed/", calendar.feed_create, name="feed-create"),
    path("feed/end/", calendar.feed_end, name="feed-end"),
    path("feed/<str:secret>.ics", calendar.feed, name="feed"),
]
