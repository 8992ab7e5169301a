"""Pre-training methods as Avalanche strategies and plug-ins: a file a method."""
