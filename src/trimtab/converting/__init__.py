"""The feature converter: from a request's bytes, Arrow columns or rows to exactly the tensors of a signature."""
