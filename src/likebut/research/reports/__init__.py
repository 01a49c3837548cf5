"""Tables, charts, image panels and HTML pages."""
