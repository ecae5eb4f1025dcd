"""What TensorFlow would do with a call, without it: which trace it runs and what it feeds it, or how it refuses.

Source of every rule: tensorflow/python/saved_model/function_deserialization.py and what it calls, in release 2.21.
"""
