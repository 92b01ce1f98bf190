"""Generated dancers: videos for the demo, since none may be shipped with it."""
