from django.urls import include, path

urlpatterns = [path("naive/", include("bench.naive.urls")), path("", include("esgportal.urls"))]
