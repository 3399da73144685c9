"""The HTTP API and the pages: the functions of the command line behind one small server."""
