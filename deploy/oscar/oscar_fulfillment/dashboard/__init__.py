"""What staff see: the overview, refunds, the rollout table; and Oscar's order pages extended."""
