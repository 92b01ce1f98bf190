"""Pictures: skeletons, trails, timelines and stills."""
