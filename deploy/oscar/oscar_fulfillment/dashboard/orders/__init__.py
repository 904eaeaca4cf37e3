"""Oscar's order pages with a fulfilment panel, filters and the action to resubmit."""
