"""The HTTP server and the web page over one gallery."""
