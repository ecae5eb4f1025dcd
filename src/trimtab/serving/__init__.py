"""Servers and clients: the leaf that scores, the root that fetches and fans out, an interceptor for clients."""
