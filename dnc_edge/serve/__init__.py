"""The pair of student and solver behind an OpenAI-compatible endpoint, with a page to look at."""
