"""Sphinx builds these pages with `make docs`; the API pages come from the docstrings of the installed package."""

from importlib.metadata import version as version_of

project = "execution-dataflow"
author = "the execution-dataflow authors"
copyright = "2026, " + author
version = release = version_of("execution-dataflow")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
exclude_patterns = ["_build"]

html_theme = "furo"
html_title = "execution-dataflow"

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_default_options = {"members": True, "show-inheritance": True, "member-order": "bysource"}
autodoc_typehints = "signature"
autodoc_class_signature = "mixed"
napoleon_google_docstring = False
napoleon_numpy_docstring = True
napoleon_use_rtype = False
# As lines of their own, documented attributes would be described twice: here and as members.
napoleon_use_ivar = True
# Napoleon makes references of the names of attributes, and records of several classes have the same ones.
suppress_warnings = ["ref.python"]
