"""The leaf: loads artifacts, converts exactly what their signatures ask for, scores; Open Inference Protocol outside.

Loading a model runs its framework's loader, and so does scoring it: point a leaf only at a repository that you trust.
What trimtab adds is that our own reader, which executes nothing, has accepted the file first, and that its signature
has the digest that the bundle states.
"""
