"""Reports that need more than their SQL: statistics over days, and prices."""
