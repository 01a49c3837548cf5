"""What tests share: small models, small data in official layouts, servers, commands, child processes."""
