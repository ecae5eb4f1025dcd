"""Bytes, and bounded parsers over them: zip directory, protobuf wire format, symbolic pickle.

Nothing here knows a model format, imports a framework or executes what it reads.
"""
