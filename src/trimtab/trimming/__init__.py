"""Send only what the model uses: the trimmer over the native kernel, and requests built small to begin with."""
