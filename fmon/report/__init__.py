"""What a report is made of: words, JSON, the page. Pure: rows of views in, text out."""
