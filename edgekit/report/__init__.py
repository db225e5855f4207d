"""Pages to be read on a workstation: jinja2 for the text, matplotlib for the plots."""
