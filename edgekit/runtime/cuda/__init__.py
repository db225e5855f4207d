"""Device memory, streams, events and graphs behind one small interface, and the bindings that provide them."""
