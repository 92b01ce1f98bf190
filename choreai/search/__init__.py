"""Search in tags: expressions, the database behind them, exports, corrections."""
