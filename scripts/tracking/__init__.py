"""Which metric tracks the device: whether models that score better also behave more like the LA-2A."""
