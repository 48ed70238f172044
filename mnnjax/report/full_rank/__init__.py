"""How often A o X has full rank."""
