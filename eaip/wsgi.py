import os

from django.conf import settings
from django.core.wsgi import get_wsgi_application

from apps.api.timings import Writer

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "eaip.settings")

if settings.TRACES:
    from eaip import tracing  # its packages are there only where they are wanted

    tracing.start()

application = get_wsgi_application()
writer = Writer()
writer.start()
