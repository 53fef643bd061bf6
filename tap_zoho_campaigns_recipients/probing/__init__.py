"""Finding out how the API of an account behaves, without keeping anything of what it says."""
