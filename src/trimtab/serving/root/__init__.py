"""The root tier: answers a score request by fetching, trimming, fanning out and gathering."""
