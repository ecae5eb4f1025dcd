"""Metrics of the serving tiers, under the names that existing dashboards expect. Knows no transport."""
