"""Files of questions in, records out."""
