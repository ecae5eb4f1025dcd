"""Servers and clients: the leaf that scores, the root that fetches and fans out, and the interceptor for existing ones."""
