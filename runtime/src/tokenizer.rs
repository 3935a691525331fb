//! WordPiece with BERT normalisation.
