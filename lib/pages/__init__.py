"""What the pages of both papers share: style, tables, figures, claims, the site."""
