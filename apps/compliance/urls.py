from django.urls import path

from apps.compliance.views import access, controls, population, reviews

app_name = "compliance"
urlpatterns = [
    path("", controls.overview, name="overview"),
    path("controls/export/", controls.mapping_export, name="mapping-export"),
    path("controls/<slug:framework>/<slug:control>/", controls.control, name="control"),
    path("reviews/", reviews.review_list, name="review-list"),
    path("reviews/usual/", reviews.review_setup, name="review-setup"),
    path("reviews/<uuid:review_id>/", reviews.review_detail, name="review-detail"),
    path("reviews/<uuid:review_id>/end/", reviews.review_end, name="review-end"),
    path("access/", access.access_list, name="access"),
    path("access/export/", access.access_export, name="access-export"),
    path("access/reviews/<uuid:review_id>/", access.access_review, name="access-review"),
    path("population/", population.population_list, name="population"),
    path("population/export/", population.population_export, name="population-export"),
]
