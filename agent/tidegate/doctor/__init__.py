"""Doctor: what stands in the way of a gateway on this machine, and what to do about it. It changes nothing."""
