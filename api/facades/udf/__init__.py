"""TradingView's datafeed protocol (UDF) at `/udf/…`, and OpenBB's list of widgets."""
