"""The self-hosted service: the AudioTag API over the catalogue of this machine.

socket ─► gate ─► door ─► form ─► api ─► intake ─► jobs ─► workers ─► worker: analysis ─► recognizer
          limits  HTTP    fields  what   8 kHz     charge  processes  one job at a time
                          + file  it     mono PCM  + queue
                          on disk means

`app` has the routes, `service` opens all of it in order, `rows` and `accounts` are what stays on the disk.
Nothing is imported here: the worker processes come through this door too, and need none of HTTP.
"""
