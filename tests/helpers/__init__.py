"""What the tests share: toy models, small data in official layouts, servers, and commands as a person runs them."""
