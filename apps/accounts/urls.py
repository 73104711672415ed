from django.urls import path

from apps.accounts import views

app_name = "accounts"

urlpatterns = [
    path("sign-in/", views.SignIn.as_view(), name="sign-in"),
    path("sign-out/", views.sign_out, name="sign-out"),
    path("account/", views.preferences, name="preferences"),
    path("account/theme/", views.theme, name="theme"),
    path("account/time-zone/", views.time_zone, name="time-zone"),
]
