"""Measuring a bundle: timing, statistics, telemetry beside it, comparisons, the suite and its reports.

Any Predictor can be measured from outside (``stopwatch``). A backend that can look inside one query offers it by having
the methods of a protocol in ``timed``; nothing is inherited or registered:

    Timed      time_once()    one query in the parts that trtexec times: h2d, compute, d2h, enqueue, host
    Pipelined  time_many(n)   n queries as fast as they go, copies overlapping with compute: trtexec's throughput
    Profiled   profile(n)     mean time per layer
"""
