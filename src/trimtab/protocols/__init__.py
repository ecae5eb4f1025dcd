"""The wire protocols as data: messages in a private descriptor pool, and payload tables over their bytes."""
