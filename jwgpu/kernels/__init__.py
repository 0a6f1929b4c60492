"""What is computed: one folder a computation, its contract and a body for each device."""
