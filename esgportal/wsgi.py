"""WSGI entry point: ``granian --interface wsgi esgportal.wsgi:application``."""

import gc
import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "esgportal.settings")

application = get_wsgi_application()

# The loaded application never becomes garbage. Frozen, it is not walked by the
# full collections that a large decoded batch would otherwise set off.
gc.freeze()
