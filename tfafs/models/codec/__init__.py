"""Neural video codecs of paper 001."""
