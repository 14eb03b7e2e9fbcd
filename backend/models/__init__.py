"""The canonical vocabulary: queries and answers in our own words, with plausibility built in."""
