"""The self-hosted service: the AudioTag API over the catalogue of this machine.

socket ─► gate ─► door ─► form ─► api ─► intake ─► jobs ─► workers ─► worker: analysis ─► recognizer
          limits  HTTP    fields  what   8 kHz     charge  processes  one job at a time
                          + file  it     mono PCM  + queue
                          on disk means

Nothing is imported here: the worker processes come through this door too, and need none of HTTP.
"""
