"""The web application: live classification, uploads and the catalog as pictures, on Ray Serve and FastAPI."""
