"""What the shop costs, in use and idle: `make cost`."""
