"""HTML pages that need nothing but themselves: their frame and style, their plots, and how figures are written."""
