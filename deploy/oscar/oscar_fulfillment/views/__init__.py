"""The shop's public ways in: the link by SKU, and the REST endpoint."""
