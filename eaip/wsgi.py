import os

from django.core.wsgi import get_wsgi_application

from apps.api.timings import Writer

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "eaip.settings")

application = get_wsgi_application()
writer = Writer()
writer.start()
