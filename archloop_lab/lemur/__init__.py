"""LEMUR, the data set of neural networks, in and out: import, curation, training pairs, export."""
