"""The world of the compiled engine: state arrays, network, hosts and sessions."""
