from functools import lru_cache

from django import template
from django.template.loader import render_to_string
from django.utils.safestring import SafeString

from apps.dashboards.cells import Cell

register = template.Library()


# Of a matrix that is drawn anew most cells say what they said a moment ago: a cell is drawn once for each thing to say.
@register.simple_tag
@lru_cache(maxsize=8192)
def matrix_cell(cell: Cell) -> SafeString:
    return SafeString(render_to_string("dashboards/_cell.html", {"cell": cell}).strip())
